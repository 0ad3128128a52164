/** Rows that begin in a page of a column with lists. */
export interface BegunRows {
  readonly rows: number;
  /** Tells whether the page begins inside a row that began in the page before it. */
  readonly isContinued: boolean;
}

/**
 * Counts the rows that begin in a page of version 1, by its repetition levels, which it begins with: a value of level 0
 * is the first of its row.
 *
 * @param page   the decompressed page
 * @param values number of its values
 * @param most   largest level of the column
 * @throws RangeError where the page ends before them
 * @see https://parquet.apache.org/docs/file-format/data-pages/encodings/, the RLE and bit-packing hybrid
 */
export function begunRows(page: Uint8Array, values: number, most: number): BegunRows {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const bits = 32 - Math.clz32(most);
  let at = 4;
  let rows = 0;
  let seen = 0;
  let isContinued = false;
  const take = (level: number, count: number): void => {
    const taken = Math.min(count, values - seen);
    if (seen === 0) isContinued = level !== 0;
    if (level === 0) rows += taken;
    seen += taken;
  };
  while (seen < values) {
    let head = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = view.getUint8(at++);
      head |= (byte & 127) << shift;
      if (byte < 128) break;
      if (shift > 21) throw new RangeError('a run of levels without end');
    }
    if ((head & 1) === 0) {
      // As many bytes as a level has; none of a column has more than one.
      take(view.getUint8(at++), head >>> 1);
      if (head === 0) throw new RangeError('a run of no levels');
      continue;
    }
    // Packed by eights, the lowest bits first.
    const packed = (head >>> 1) * 8;
    for (let i = 0; i < packed && seen < values; i++) {
      const [byte, bit] = [at + ((i * bits) >>> 3), (i * bits) & 7];
      const pair = view.getUint8(byte) | (bit + bits > 8 ? view.getUint8(byte + 1) << 8 : 0);
      take((pair >>> bit) & ((1 << bits) - 1), 1);
    }
    at += (head >>> 1) * bits;
    if (packed === 0) throw new RangeError('a run of no levels');
  }
  return { rows, isContinued };
}

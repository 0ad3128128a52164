/** Headers of the pages of a Parquet file, which stand in Thrift's compact protocol. */

/** Header of a page, as far as it tells where pages and rows begin. */
export interface PageHeader {
  /** Bytes of the header itself. */
  readonly headerBytes: number;
  /** Bytes of the page behind it, and of what it decompresses to. */
  readonly pageBytes: number;
  readonly plainBytes: number;
  /**
   * Values of a data page: as many as rows, where a row has one. Version 2 counts rows. Null for a dictionary or an
   * index.
   */
  readonly values: number | null;
  /** Tells whether `values` are rows, however many values those have. */
  readonly countsRows: boolean;
}

/**
 * Reads the header of the page that begins with these bytes.
 *
 * @throws RangeError where the header goes on behind them, or is none
 */
export function readPageHeader(bytes: Uint8Array): PageHeader {
  const reader = new CompactReader(bytes);
  const header = reader.struct();
  const [first, second] = [header.get(DATA_PAGE), header.get(DATA_PAGE_V2)];
  const counted = second instanceof Map ? second.get(NUM_ROWS) : undefined;
  const values = counted ?? (first instanceof Map ? first.get(NUM_VALUES) : undefined) ?? null;
  const [pageBytes, plainBytes] = [header.get(COMPRESSED_BYTES), header.get(PLAIN_BYTES)];
  if (typeof pageBytes !== 'number' || typeof plainBytes !== 'number' || pageBytes < 0) {
    throw new RangeError('a page has no header');
  }
  if (typeof (values ?? 0) !== 'number') throw new RangeError('a page does not count its values');
  return {
    headerBytes: reader.at,
    pageBytes,
    plainBytes,
    values: values as number | null,
    countsRows: counted !== undefined,
  };
}

/** Fields of a header, and of the structures in it. */
const PLAIN_BYTES = 2;
const COMPRESSED_BYTES = 3;
const DATA_PAGE = 5;
const DATA_PAGE_V2 = 8;
const NUM_VALUES = 1;
const NUM_ROWS = 3;

/** Number or structure by its field; other values are passed over. */
type Fields = Map<number, number | Fields | undefined>;

/** Most structures in one another. Those of a header are three deep. */
const MOST_LEVELS = 8;

/** @see https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md */
class CompactReader {
  /** Place of the next byte. */
  at = 0;
  readonly #view: DataView;
  #levels = 0;

  constructor({ buffer, byteOffset, byteLength }: Uint8Array) {
    this.#view = new DataView(buffer, byteOffset, byteLength);
  }

  struct(): Fields {
    const fields: Fields = new Map();
    if (++this.#levels > MOST_LEVELS) throw new RangeError('structures without end');
    for (let field = 0; ;) {
      const head = this.#byte();
      if (head === 0) break;
      field = head >> 4 === 0 ? this.#integer() : field + (head >> 4);
      fields.set(field, this.#value(head & 15));
    }
    this.#levels--;
    return fields;
  }

  #value(type: number): number | Fields | undefined {
    switch (type) {
      case 1:
      case 2:
        return undefined;
      case 3:
        return this.#byte();
      case 4:
      case 5:
      case 6:
        return this.#integer();
      case 7:
        this.#pass(8);
        return undefined;
      case 8:
        this.#pass(this.#varint());
        return undefined;
      case 9:
        this.#list();
        return undefined;
      case 12:
        return this.struct();
      default:
        throw new RangeError(`a value of type ${type}`);
    }
  }

  #list(): void {
    const head = this.#byte();
    const count = head >> 4 === 15 ? this.#varint() : head >> 4;
    // A truth value takes a byte in a list, and none in a structure.
    for (let i = 0; i < count; i++) this.#value((head & 15) <= 2 ? 3 : head & 15);
  }

  #pass(bytes: number): void {
    this.at += bytes;
    if (this.at > this.#view.byteLength) throw new RangeError('a value behind the end');
  }

  /** An integer whose sign is its last bit. */
  #integer(): number {
    const value = this.#varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  #varint(): number {
    for (let value = 0, weight = 1; ; weight *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * weight;
      if (byte < 128) return value;
      if (weight > 2 ** 56) throw new RangeError('an integer without end');
    }
  }

  #byte(): number {
    return this.#view.getUint8(this.at++);
  }
}

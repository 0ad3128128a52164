/** Tags of TIFF files, by which a picture's size is known before sharp decodes it, and its mode as Pillow sees it. */
import type { ImageSize } from './decoded-image.ts';

/** Field sizes of the two kinds of TIFF: classic with 32-bit offsets, BigTIFF with 64-bit ones. */
interface Layout {
  /** Place of the offset of the first directory. */
  readonly start: number;
  /** Bytes of a directory's entry count. */
  readonly countBytes: 2 | 8;
  /** Bytes of an entry's value, or of the offset to it. */
  readonly valueBytes: 4 | 8;
}

const CLASSIC: Layout = { start: 4, countBytes: 2, valueBytes: 4 };
const BIG: Layout = { start: 8, countBytes: 8, valueBytes: 8 };
const BIG_VERSION = 43;
/** Bytes of a number by its field type: SHORT, LONG and LONG8. */
const NUMBER_BYTES: ReadonlyMap<number, 2 | 4 | 8> = new Map([
  [3, 2],
  [4, 4],
  [16, 8],
]);

/** Tags of a picture's size, and of the traits of its mode that its samples do not show. */
export const TIFF_TAGS = {
  width: 256,
  height: 257,
  photometricInterpretation: 262,
  extraSamples: 338,
} as const;

/**
 * First number of a tag in the first directory of a TIFF file; undefined if there is none.
 *
 * @throws RangeError if the directory lies outside the file
 * @see TIFF 6.0, section 2
 */
export function tiffTag(file: Uint8Array, tag: number): number | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const isLittle = view.getUint8(0) === 0x49;
  const short = (at: number): number => view.getUint16(at, isLittle);
  const { start, countBytes, valueBytes } = short(2) === BIG_VERSION ? BIG : CLASSIC;
  const number = (at: number, size: 2 | 4 | 8): number => {
    if (size === 2) return short(at);
    return size === 4 ? view.getUint32(at, isLittle) : Number(view.getBigUint64(at, isLittle));
  };
  const directory = number(start, valueBytes);
  const entries = directory + countBytes;
  const entryBytes = 4 + 2 * valueBytes;
  for (let i = 0; i < number(directory, countBytes); i++) {
    const entry = entries + i * entryBytes;
    const size = NUMBER_BYTES.get(short(entry + 2));
    if (short(entry) !== tag || size === undefined) continue;
    const value = entry + 4 + valueBytes;
    const isInline = number(entry + 4, valueBytes) * size <= valueBytes;
    return number(isInline ? value : number(value, valueBytes), size);
  }
  return undefined;
}

/** Size that a TIFF file declares; a side that it does not declare is 0. */
export function tiffSize(file: Uint8Array): ImageSize {
  const { width, height } = TIFF_TAGS;
  return { width: tiffTag(file, width) ?? 0, height: tiffTag(file, height) ?? 0 };
}

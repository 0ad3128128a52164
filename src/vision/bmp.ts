/**
 * BMP files, which sharp does not read, decoded as Pillow decodes them.
 *
 * @see Pillow, BmpImagePlugin.py
 */
import { CxmindError } from '../errors.ts';
import type { DecodedImage, ImageSize, OpenedImage } from './decoded-image.ts';

/** Headers of a BMP file. */
interface BmpHeader extends ImageSize {
  /** Bits of a pixel. */
  readonly bits: number;
  readonly compression: number;
  /** Set if the first row is the top one. */
  readonly isTopDown: boolean;
  /** Bit masks of red, green, blue and alpha in a pixel of 16 or 32 bits. */
  readonly masks: readonly [number, number, number, number];
  /** Palette, RGB, `[colours, 3]`; empty if a pixel has more than 8 bits. */
  readonly colours: Uint8Array;
  /** Offset of the pixels in the file. */
  readonly offset: number;
}

const FILE_HEADER_BYTES = 14;
/** Size of the oldest header. Its sides have 16 bits, and its colours 3 bytes in place of 4. */
const CORE_BYTES = 12;
/** Size of the smallest header with masks, and of the smallest with a mask of alpha. */
const INFO_BYTES = 40;
const WITH_ALPHA_BYTES = 56;
const HEADER_BYTES: readonly number[] = [
  CORE_BYTES,
  INFO_BYTES,
  52,
  WITH_ALPHA_BYTES,
  64,
  108,
  124,
];

const PLAIN = 0;
const RUNS_OF_4 = 2;
const MASKED = 3;
/** Pixel sizes in bits that each compression is for. Compression 1, not named here, is runs of 8-bit indices. */
const BITS: readonly (readonly number[])[] = [[1, 4, 8, 16, 24, 32], [8], [4], [16, 24, 32]];

/** Masks of pixels of 16 and of 32 bits in a file that gives none. */
const FIVE_BITS = [0x7c00, 0x03e0, 0x001f, 0] as const;
const EIGHT_BITS = [0xff0000, 0xff00, 0xff, 0] as const;
/** Masks that stand for four masks of zero. */
const EIGHT_BITS_WITH_ALPHA = [0xff0000, 0xff00, 0xff, 0xff000000] as const;

/**
 * Opens a BMP file: palettes of 1, 4 or 8 bits, plain or run-length encoded, and colours of 16, 24 or 32 bits.
 *
 * Padding is what Pillow takes for padding: a pixel of 32 bits has alpha only if a mask says so.
 *
 * @throws DATA_INVALID for an unsupported kind; this function and `decode` throw RangeError if the file is cut short
 */
export function openBmp(file: Uint8Array): OpenedImage {
  const header = bmpHeader(file);
  const { width, height, bits } = header;
  const decode = bits <= 8 ? indexed : coloured;
  return { width, height, sampleBits: 8, decode: () => ({ ...decode(file, header), wide: null }) };
}

function bmpHeader(file: Uint8Array): BmpHeader {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [short, long] = [
    (at: number): number => view.getUint16(at, true),
    (at: number): number => view.getUint32(at, true),
  ];
  const headerBytes = long(14);
  if (!HEADER_BYTES.includes(headerBytes)) throw unread(`a header of ${headerBytes} bytes`);
  const isCore = headerBytes === CORE_BYTES;
  const width = isCore ? short(18) : view.getInt32(18, true);
  const signedHeight = isCore ? short(20) : view.getInt32(22, true);
  const bits = short(isCore ? 24 : 28);
  const compression = isCore ? PLAIN : long(30);
  if (BITS[compression]?.includes(bits) !== true) {
    throw unread(`${bits} bits a pixel in compression ${compression}`);
  }
  if (width < 1 || signedHeight === 0) throw unread(`sides of ${width} and ${signedHeight}`);
  const count = bits > 8 ? 0 : (isCore ? 0 : long(46)) || 2 ** bits;
  if (count > 2 ** 16) throw unread(`${count} colours`);
  const coloursAt = FILE_HEADER_BYTES + headerBytes;
  const colourBytes = isCore ? 3 : 4;
  const coloursEnd = coloursAt + count * colourBytes;
  const colours = Uint8Array.from({ length: Math.min(count, 2 ** bits) * 3 }, (_, i) =>
    view.getUint8(coloursAt + Math.floor(i / 3) * colourBytes + 2 - (i % 3)),
  );
  const declared = long(10);
  return {
    width,
    height: Math.abs(signedHeight),
    bits,
    compression,
    isTopDown: signedHeight < 0,
    masks: masksOf(),
    colours,
    offset: declared === 0 || declared === coloursAt ? coloursEnd : declared,
  };

  function masksOf(): BmpHeader['masks'] {
    if (bits === 24 || compression !== MASKED) return bits === 16 ? FIVE_BITS : EIGHT_BITS;
    const at = FILE_HEADER_BYTES + INFO_BYTES;
    const alpha = headerBytes >= WITH_ALPHA_BYTES ? long(at + 12) : 0;
    const masks = [long(at), long(at + 4), long(at + 8), alpha] as const;
    if (masks.every((mask) => mask === 0)) return EIGHT_BITS_WITH_ALPHA;
    if (masks.slice(0, 3).includes(0)) throw unread('a colour without a mask');
    return masks;
  }
}

function indexed(file: Uint8Array, header: BmpHeader): DecodedImage {
  const { width, height, bits, compression, isTopDown, colours } = header;
  const indices = compression === PLAIN ? unpacked(file, header) : unrolled(file, header);
  const size = { width, height };
  const upright = isTopDown ? indices : flipped(indices, width);
  const step = bits === 1 && colours.length === 6 ? 255 : 1;
  const isGrey = colours.every((level, i) => level === Math.floor(i / 3) * step);
  if (isGrey && (bits === 1 || bits === 8)) {
    const data = step === 1 ? upright : upright.map((index) => index * step);
    return { ...size, mode: 'L', data, isIndexed: bits === 1 };
  }
  // An index without a colour is black, as in Pillow.
  const palette = new Uint8Array(3 * 256);
  palette.set(colours);
  const data = new Uint8Array(3 * upright.length);
  for (let pixel = 0, to = 0; pixel < upright.length; pixel++) {
    let from = 3 * upright[pixel]!;
    data[to++] = palette[from++]!;
    data[to++] = palette[from++]!;
    data[to++] = palette[from]!;
  }
  return { ...size, mode: 'RGB', data, isIndexed: true };
}

/** Bytes of a row of pixels, a multiple of 4. */
function strideOf({ width, bits }: BmpHeader): number {
  return Math.ceil((width * bits) / 32) * 4;
}

/** @throws RangeError if the file has fewer bytes than its rows take */
function checkRows(file: Uint8Array, header: BmpHeader): void {
  const { width, height, bits, offset } = header;
  const needed = offset + strideOf(header) * (height - 1) + Math.ceil((width * bits) / 8);
  if (file.length < needed) throw new RangeError(`${file.length} bytes of ${needed}`);
}

/** Palette indices of plain rows, `[height, width]`. */
function unpacked(file: Uint8Array, header: BmpHeader): Uint8Array {
  checkRows(file, header);
  const { width, height, bits, offset } = header;
  const stride = strideOf(header);
  const perByte = 8 / bits;
  const indices = new Uint8Array(width * height);
  for (let y = 0, to = 0; y < height; y++) {
    const row = offset + y * stride;
    for (let x = 0; x < width; x++) {
      const byte = file[row + Math.floor(x / perByte)]!;
      indices[to++] = (byte >> (8 - bits * ((x % perByte) + 1))) & (2 ** bits - 1);
    }
  }
  return indices;
}

/** Palette indices of run-length encoded rows, `[height, width]`; 0 for pixels that no run covers. */
function unrolled(file: Uint8Array, { width, height, compression, offset }: BmpHeader): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const indices = new Uint8Array(width * height);
  const isHalf = compression === RUNS_OF_4;
  /** Index of a pixel in a run. A byte holds one index of 8 bits, or two of 4 bits that alternate. */
  const indexOf = (byte: number, place: number): number => {
    if (!isHalf) return byte;
    return place % 2 === 0 ? byte >> 4 : byte & 15;
  };
  let [from, x, y] = [offset, 0, 0];
  const put = (index: number): void => {
    if (x < width && y < height) indices[y * width + x] = index;
    x++;
  };
  while (y < height) {
    const [count, byte] = [view.getUint8(from), view.getUint8(from + 1)];
    from += 2;
    if (count > 0) {
      for (let i = 0; i < count; i++) put(indexOf(byte, i));
    } else if (byte === 0) {
      [x, y] = [0, y + 1];
    } else if (byte === 1) {
      break;
    } else if (byte === 2) {
      x += view.getUint8(from);
      y += view.getUint8(from + 1);
      from += 2;
    } else {
      for (let i = 0; i < byte; i++) {
        put(indexOf(view.getUint8(from + (isHalf ? Math.floor(i / 2) : i)), i));
      }
      // A run of literal indices is padded to an even number of bytes.
      from += 2 * Math.ceil(byte / (isHalf ? 4 : 2));
    }
  }
  return indices;
}

/** Reads one channel of the pixel at an offset. */
type ReadChannel = (at: number) => number;

function coloured(file: Uint8Array, header: BmpHeader): DecodedImage {
  checkRows(file, header);
  const { width, height, bits, masks, isTopDown, offset } = header;
  const hasAlpha = masks[3] !== 0;
  const channels = masks.slice(0, hasAlpha ? 4 : 3).map((mask) => channelOf(file, bits, mask));
  const stride = strideOf(header);
  const data = new Uint8Array(width * height * channels.length);
  for (let y = 0, to = 0; y < height; y++) {
    const row = offset + (isTopDown ? y : height - 1 - y) * stride;
    for (let x = 0; x < width; x++) {
      const at = row + x * (bits / 8);
      for (const read of channels) data[to++] = read(at);
    }
  }
  return { width, height, mode: hasAlpha ? 'RGBA' : 'RGB', data, isIndexed: false };
}

function channelOf(file: Uint8Array, bits: number, mask: number): ReadChannel {
  const shift = 31 - Math.clz32(mask & -mask);
  const most = mask >>> shift;
  if (most === 255 && shift % 8 === 0) return (at) => file[at + shift / 8]!;
  if ((most & (most + 1)) !== 0) throw unread(`a mask of ${mask.toString(16)}`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  return (at) => {
    const pixel = bits === 16 ? view.getUint16(at, true) : view.getUint32(at, true);
    return Math.trunc((((pixel & mask) >>> shift) * 255) / most);
  };
}

/** Rows in reverse order. */
function flipped(rows: Uint8Array, rowBytes: number): Uint8Array {
  const result = new Uint8Array(rows.length);
  for (let at = 0; at < rows.length; at += rowBytes) {
    result.set(rows.subarray(at, at + rowBytes), rows.length - rowBytes - at);
  }
  return result;
}

function unread(what: string): CxmindError {
  return new CxmindError('DATA_INVALID', `a BMP file with ${what} is not read`);
}

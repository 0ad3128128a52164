/** Samples of a DICOM picture's first frame, by its transfer syntax (DICOM PS3.5, annex A). */
import { CxmindError } from '../../errors.ts';
import { decodeJpeg, decodeJpeg2000, decodeJpegLs, type Samples } from './codecs.ts';
import { unread, type DicomPicture } from './data-set.ts';
import { firstFrame } from './frame.ts';
import { decodeRle } from './rle.ts';

type Decode = (picture: DicomPicture) => Samples | Promise<Samples>;

const compressed =
  (decode: (frame: Uint8Array, picture: DicomPicture) => Samples | Promise<Samples>): Decode =>
  (picture) =>
    decode(firstFrame(picture), picture);

/** Decoders by the ends of transfer syntaxes' names, after 1.2.840.10008.1.2. */
const DECODERS: Readonly<Record<string, Decode>> = {
  '': native,
  '.1': native,
  '.1.99': native,
  '.2': native,
  '.4.50': compressed(decodeJpeg),
  '.4.51': compressed(decodeJpeg),
  '.4.57': compressed(decodeJpeg),
  '.4.70': compressed(decodeJpeg),
  '.4.80': compressed(decodeJpegLs),
  '.4.81': compressed(decodeJpegLs),
  '.4.90': compressed(decodeJpeg2000),
  '.4.91': compressed(decodeJpeg2000),
  '.5': compressed(runLengths),
};
const SYNTAXES = '1.2.840.10008.1.2';

/**
 * Decodes the first frame of a picture.
 *
 * @throws DATA_INVALID for an unknown transfer syntax, or if the frame is broken; any other error of a broken frame
 */
export async function samplesOf(picture: DicomPicture): Promise<Samples> {
  const { transferSyntax: syntax, width, height, channels } = picture;
  const decode = syntax.startsWith(SYNTAXES) ? DECODERS[syntax.slice(SYNTAXES.length)] : undefined;
  if (decode === undefined) {
    throw unread(`the transfer syntax ${syntax.replace(/[^\d.]/g, '?')}, which is not read`);
  }
  const samples = await decode(picture);
  if (samples.data.length < width * height * channels) throw tooFew();
  return samples;
}

function runLengths(frame: Uint8Array, picture: DicomPicture): Samples {
  const { width, height, channels, bitsAllocated, bitsStored: bits } = picture;
  return { data: decodeRle(frame, width * height, channels, bitsAllocated / 8), bits };
}

/** Samples of the first frame of uncompressed pixel data. */
function native(picture: DicomPicture): Samples {
  const { width, height, channels, bitsAllocated, bitsStored: bits, colours } = picture;
  if (picture.isEncapsulated) throw unread('fragments, but an uncompressed transfer syntax');
  const pixels = width * height;
  if (bitsAllocated === 1) return { data: bitsOf(wordOrder(picture), pixels), bits };
  const sampleBytes = bitsAllocated / 8;
  const isHalved = colours === 'YBR_FULL_422' && channels === 3 && sampleBytes === 1;
  const bytes = Math.ceil((pixels * channels * sampleBytes * (isHalved ? 2 : 3)) / 3);
  if (picture.pixels.length < bytes) throw tooFew();
  const frame = wordOrder({ ...picture, pixels: picture.pixels.subarray(0, bytes + (bytes % 2)) });
  if (isHalved) return { data: doubled(frame, pixels), bits };
  const data = sampleBytes === 1 ? frame.subarray(0, bytes) : wordsOf(frame);
  return { data: picture.isPlanar ? interleaved(data, pixels, channels) : data, bits };
}

/** Bytes of pixel data in little-endian order. Samples of a byte, too, stand in words of a big-endian file. */
function wordOrder({ pixels, isBigEndian, isInWords, bitsAllocated }: DicomPicture): Uint8Array {
  const isTurned = isBigEndian && (isInWords || bitsAllocated === 16);
  return isTurned ? Buffer.from(pixels.subarray(0, pixels.length & ~1)).swap16() : pixels;
}

/** Little-endian words, wherever the bytes begin. */
function wordsOf(bytes: Uint8Array): Uint16Array {
  const words = new Uint16Array(bytes.length >> 1);
  new Uint8Array(words.buffer).set(bytes.subarray(0, 2 * words.length));
  return words;
}

/** Samples of one bit each, the first one lowest in its byte. */
function bitsOf(bytes: Uint8Array, pixels: number): Uint8Array {
  if (bytes.length * 8 < pixels) throw tooFew();
  return Uint8Array.from({ length: pixels }, (_, i) => (bytes[i >> 3]! >> (i & 7)) & 1);
}

/** Pixels with colours of their own, from pairs that share chrominance: Y Y Cb Cr. */
function doubled(pairs: Uint8Array, pixels: number): Uint8Array {
  const data = new Uint8Array(3 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const pair = 4 * (pixel >> 1);
    data[3 * pixel] = pairs[pair + (pixel & 1)]!;
    data[3 * pixel + 1] = pairs[pair + 2]!;
    data[3 * pixel + 2] = pairs[pair + 3]!;
  }
  return data;
}

/** Pixels from a plane for each colour. */
function interleaved(
  planes: Uint8Array | Uint16Array,
  pixels: number,
  channels: number,
): Uint8Array | Uint16Array {
  const length = pixels * channels;
  const data = planes instanceof Uint16Array ? new Uint16Array(length) : new Uint8Array(length);
  for (let channel = 0, from = 0; channel < channels; channel++) {
    for (let to = channel; to < length; to += channels) data[to] = planes[from++]!;
  }
  return data;
}

function tooFew(): CxmindError {
  return new CxmindError('DATA_INVALID', 'its pixel data are cut short');
}

/**
 * Lossless JPEG (ITU-T T.81, annex H: process 14), in which DICOM archives keep most radiographs: each sample is
 * predicted from its neighbours, and the difference is Huffman-coded.
 */
import { broken, JpegBits, type HuffmanTable, type JpegStream } from './jpeg-stream.ts';

/** Predictors by their number, of the left, the upper and the upper left neighbour. */
const PREDICTORS: readonly ((a: number, b: number, c: number) => number)[] = [
  () => 0,
  (a) => a,
  (_, b) => b,
  (_, __, c) => c,
  (a, b, c) => a + b - c,
  (a, b, c) => a + ((b - c) >> 1),
  (a, b, c) => b + ((a - c) >> 1),
  (a, b) => (a + b) >> 1,
];

/**
 * Decodes a lossless JPEG picture.
 *
 * @returns `[height, width, components]`, unsigned
 * @throws DATA_INVALID if the stream is broken, RangeError if it is cut short
 */
export function decodeLossless(bytes: Uint8Array, { frame, scan }: JpegStream): Uint16Array {
  const { width, height, precision, components } = frame;
  const channels = components.length;
  const predict = PREDICTORS[scan?.start ?? 0];
  if (scan === null || scan.components.length !== channels || predict === undefined) {
    throw broken('its scan has not all components, or no predictor that there is');
  }
  if (components.some(({ sampling }) => sampling !== components[0]!.sampling)) {
    throw broken('its components differ in size');
  }
  const tables = scan.components.map(({ dc }) => dc ?? missingCodes());
  const bits = new JpegBits(bytes, scan.offset);
  const samples = new Uint16Array(width * height * channels);
  const middle = 2 ** (precision - scan.low - 1);
  const rowLength = width * channels;
  const { restartInterval } = scan;
  /** Sample from which a first row is predicted: that of the picture, or of the last restart. */
  let firstRow = 0;
  for (let i = 0, unit = 0; i < samples.length; unit++) {
    const column = unit % width;
    if (restartInterval > 0 && unit > 0 && unit % restartInterval === 0) {
      bits.restart();
      firstRow = i;
    }
    for (let channel = 0; channel < channels; channel++, i++) {
      const isFirst = i - channel === firstRow;
      const left = samples[i - channels]!;
      const above = samples[i - rowLength]!;
      let predicted: number;
      if (isFirst) predicted = middle;
      else if (i - firstRow < rowLength) predicted = left;
      else if (column === 0) predicted = above;
      else predicted = predict(left, above, samples[i - rowLength - channels]!);
      samples[i] = predicted + difference(bits, tables[channel]!);
    }
  }
  return scan.low === 0 ? samples : samples.map((sample) => sample << scan.low);
}

/** Difference from the prediction, modulo 2¹⁶. Category 16 has no further bits. */
function difference(bits: JpegBits, table: HuffmanTable): number {
  const size = bits.symbol(table);
  if (size > 16) throw broken(`it has a difference of ${size} bits`);
  return size === 16 ? 2 ** 15 : bits.signed(size);
}

function missingCodes(): never {
  throw broken('its scan has no codes');
}

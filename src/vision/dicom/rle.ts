/** RLE Lossless of DICOM: each byte of the samples is a plane of PackBits runs (DICOM PS3.5, annex G). */
import { CxmindError } from '../../errors.ts';

const HEADER_BYTES = 64;
const MOST_PLANES = 15;

/**
 * Decodes a frame.
 *
 * @param channels samples of a pixel
 * @param sampleBytes bytes of a sample, 1 or 2
 * @returns `[pixels, channels]`, unsigned
 * @throws DATA_INVALID if there are other planes or too few bytes
 */
export function decodeRle(
  frame: Uint8Array,
  pixels: number,
  channels: number,
  sampleBytes: number,
): Uint16Array {
  const header = new DataView(frame.buffer, frame.byteOffset, Math.min(frame.length, HEADER_BYTES));
  const planes = header.getUint32(0, true);
  if (planes !== channels * sampleBytes || planes > MOST_PLANES) {
    throw new CxmindError(
      'DATA_INVALID',
      `it has ${planes} run-length encoded planes, not ${channels * sampleBytes}`,
    );
  }
  const samples = new Uint16Array(pixels * channels);
  for (let plane = 0; plane < planes; plane++) {
    const start = header.getUint32(4 + 4 * plane, true);
    const end = plane + 1 < planes ? header.getUint32(8 + 4 * plane, true) : frame.length;
    const runs = frame.subarray(start, end);
    // The high byte of a sample comes first.
    const shift = 8 * (sampleBytes - 1 - (plane % sampleBytes));
    const channel = Math.floor(plane / sampleBytes);
    unpack(runs, pixels, (pixel, byte) => (samples[pixel * channels + channel]! |= byte << shift));
  }
  return samples;
}

/** Hands each byte of PackBits runs to `put`. */
function unpack(runs: Uint8Array, count: number, put: (place: number, byte: number) => void): void {
  let place = 0;
  for (let at = 0; place < count;) {
    const head = runs[at++];
    if (head === undefined) throw new RangeError('a run-length encoded plane is cut short');
    if (head === 128) continue;
    const isRun = head > 128;
    const length = isRun ? 257 - head : head + 1;
    const end = Math.min(count, place + length);
    for (let i = 0; place < end; i++) {
      const byte = runs[isRun ? at : at + i];
      if (byte === undefined) throw new RangeError('a run-length encoded plane is cut short');
      put(place++, byte);
    }
    at += isRun ? 1 : length;
  }
}

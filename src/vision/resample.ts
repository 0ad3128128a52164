import { CxmindError } from '../errors.ts';
import type { RgbImage } from './decode.ts';

/** Fraction bits of a filter weight: sums of 8-bit pixels times weights stay within 32 bits. */
const WEIGHT_BITS = 22;
const HALF = 1 << (WEIGHT_BITS - 1);
const SUPPORT = 2;

/** For each output place: the first input it reads, how many, and their weights from `place * stride`. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
  readonly stride: number;
}

/**
 * Resizes an image the way Pillow does: separable, antialiased bicubic (a = -0.5) in 8-bit fixed point,
 * columns first; nearest neighbour for palette and 1-bit images.
 *
 * A general-purpose resizer differs by one level here and there, and one level of 255 is already 0.015
 * after normalisation: more than the pixel values may be off.
 *
 * @param width  target, pixels, at least 1
 * @param height target, pixels, at least 1
 * @see Pillow, src/libImaging/Resample.c
 */
export function resample(image: RgbImage, width: number, height: number): RgbImage {
  if (width < 1 || height < 1) {
    throw new CxmindError(
      'DATA_INVALID',
      `image of ${image.width}x${image.height} would be resized to ${width}x${height}`,
    );
  }
  if (width === image.width && height === image.height) return image;
  if (image.isIndexed) return nearest(image, width, height);
  const wide = width === image.width ? image.data : resampleColumns(image, width);
  const data = height === image.height ? wide : resampleRows(wide, width, image.height, height);
  return { width, height, data, isIndexed: false };
}

function cubic(x: number): number {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  if (d < 2) return ((-0.5 * d + 2.5) * d - 4) * d + 2;
  return 0;
}

function tapsOf(inputSize: number, outputSize: number): Taps {
  const scale = inputSize / outputSize;
  const filterScale = Math.max(1, scale);
  const support = SUPPORT * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(outputSize);
  const count = new Int32Array(outputSize);
  const weights = new Int32Array(outputSize * stride);
  const exact = new Float64Array(stride);
  for (let place = 0; place < outputSize; place++) {
    const center = (place + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(inputSize, Math.trunc(center + support + 0.5));
    let sum = 0;
    for (let i = 0; i < end - start; i++) {
      const weight = cubic((i + start - center + 0.5) * (1 / filterScale));
      exact[i] = weight;
      sum += weight;
    }
    for (let i = 0; i < end - start; i++) {
      const fixed = (exact[i]! / sum) * 2 ** WEIGHT_BITS;
      weights[place * stride + i] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    first[place] = start;
    count[place] = end - start;
  }
  return { first, count, weights, stride };
}

function clip8(sum: number): number {
  const value = sum >> WEIGHT_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** `[height, image.width, 3]` to `[height, width, 3]`. */
function resampleColumns(image: RgbImage, width: number): Uint8Array {
  const { first, count, weights, stride } = tapsOf(image.width, width);
  const input = image.data;
  const output = new Uint8Array(image.height * width * 3);
  for (let y = 0; y < image.height; y++) {
    const row = y * image.width * 3;
    let at = y * width * 3;
    for (let x = 0; x < width; x++) {
      const taps = count[x]!;
      let from = row + first[x]! * 3;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let k = x * stride; k < x * stride + taps; k++) {
        const weight = weights[k]!;
        red = (red + Math.imul(input[from++]!, weight)) | 0;
        green = (green + Math.imul(input[from++]!, weight)) | 0;
        blue = (blue + Math.imul(input[from++]!, weight)) | 0;
      }
      output[at++] = clip8(red);
      output[at++] = clip8(green);
      output[at++] = clip8(blue);
    }
  }
  return output;
}

/** `[inputHeight, width, 3]` to `[height, width, 3]`. */
function resampleRows(
  input: Uint8Array,
  width: number,
  inputHeight: number,
  height: number,
): Uint8Array {
  const { first, count, weights, stride } = tapsOf(inputHeight, height);
  const rowSize = width * 3;
  const output = new Uint8Array(height * rowSize);
  const sums = new Int32Array(rowSize);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]!; k++) {
      const weight = weights[y * stride + k]!;
      const row = (first[y]! + k) * rowSize;
      for (let i = 0; i < rowSize; i++) sums[i]! += Math.imul(input[row + i]!, weight);
    }
    for (let i = 0; i < rowSize; i++) output[y * rowSize + i] = clip8(sums[i]!);
  }
  return output;
}

/** The input place of each output place; summed step by step, as Pillow does, rounding included. */
function nearestPlaces(inputSize: number, outputSize: number): Int32Array {
  const scale = inputSize / outputSize;
  const places = new Int32Array(outputSize);
  let center = scale * 0.5;
  for (let place = 0; place < outputSize; place++, center += scale) {
    places[place] = Math.min(inputSize - 1, Math.trunc(center));
  }
  return places;
}

function nearest(image: RgbImage, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const columns = nearestPlaces(image.width, width);
  let at = 0;
  for (const row of nearestPlaces(image.height, height)) {
    for (const column of columns) {
      const from = (row * image.width + column) * 3;
      data[at++] = image.data[from]!;
      data[at++] = image.data[from + 1]!;
      data[at++] = image.data[from + 2]!;
    }
  }
  return { width, height, data, isIndexed: true };
}

import { CxmindError } from '../errors.ts';
import { channelsOf, SAMPLES, type DecodedImage, type ImageMode } from './decoded-image.ts';
import { divide, multiplied } from './modes.ts';
import { resampleFunctions, WEIGHT_BITS, type ResampleKernels } from './resample-kernels.ts';
import { MOST_PIXELS } from './pixel-limit.ts';
import { WasmBench } from './wasm-bench.ts';

const SUPPORT = 2;
/** Rows go through the first pass by so many bytes at a time, which a core's cache holds. */
const STRIP_BYTES = 2 ** 18;

/** For each output place: the first input it reads, and the weights of `taps` inputs from there on. */
interface Taps {
  readonly first: Int32Array<ArrayBuffer>;
  /** `[places, taps]`; zeros where a place reads fewer. */
  readonly weights: Int32Array<ArrayBuffer>;
  readonly taps: number;
}

/**
 * Resizes images the way Pillow does: separable, antialiased bicubic (a = -0.5) in 8-bit fixed point,
 * columns first, in the mode that the image has; nearest neighbour for palette and 1-bit images.
 *
 * A general-purpose resizer differs by one level here and there, and one level of 255 is already 0.015
 * after normalisation: more than the pixel values may be off.
 *
 * @see Pillow, src/libImaging/Resample.c
 */
export class Resampler {
  readonly #bench = new WasmBench<ResampleKernels>(resampleFunctions);

  /**
   * The image in another size; itself where it has that size.
   *
   * @param width  target, pixels, at least 1
   * @param height target, pixels, at least 1
   * @returns an image whose pixels are overwritten by the next call
   */
  resize<M extends ImageMode>(
    image: DecodedImage<M>,
    width: number,
    height: number,
  ): DecodedImage<M> {
    if (width < 1 || height < 1 || width * height > MOST_PIXELS) {
      throw new CxmindError(
        'DATA_INVALID',
        `image of ${image.width}x${image.height} would be resized to ${width}x${height}; ` +
          'min_pixels and max_pixels of config and checkpoint say so',
      );
    }
    if (width === image.width && height === image.height) return image;
    if (image.isIndexed) return nearest(image, width, height);
    return { ...image, width, height, data: this.#resample(image, width, height) };
  }

  /** As `resize`, with pixels of its own. */
  copy<M extends ImageMode>(
    image: DecodedImage<M>,
    width: number,
    height: number,
  ): DecodedImage<M> {
    const resized = this.resize(image, width, height);
    return resized === image ? image : { ...resized, data: resized.data.slice() };
  }

  #resample(image: DecodedImage, width: number, height: number): Uint8Array {
    const { mode, data } = image;
    if (mode !== 'LA' && mode !== 'RGBA') return this.#filter(image, width, height);
    const samples = SAMPLES[mode];
    const solid = this.#filter({ ...image, data: multiplied(data, samples) }, width, height);
    divide(solid, samples);
    return solid;
  }

  #filter(image: DecodedImage, width: number, height: number): Uint8Array {
    const channels = channelsOf(image);
    // A grey pixel alone fills no vector: four of a row are taken together.
    const columns = tapsOf(image.width, width, channels === 1 ? 4 : 1);
    const rows = tapsOf(image.height, height, 1);
    const rowBytes = width * channels;
    const stripRows = Math.max(1, Math.floor(STRIP_BYTES / (image.width * channels)));
    // A result of ours would be overwritten by what is laid out now.
    const data = this.#bench.holds(image.data) ? image.data.slice() : image.data;
    const { kernels, bytes, at } = this.#bench.layOut({
      columnFirst: columns.first.byteLength,
      columnWeights: columns.weights.byteLength,
      rowFirst: rows.first.byteLength,
      rowWeights: rows.weights.byteLength,
      strip: stripRows * image.width * channels,
      wide: image.height * rowBytes,
      output: height * rowBytes,
    });
    const place = (list: Int32Array<ArrayBuffer>, address: number): void => {
      bytes.set(new Uint8Array(list.buffer), address);
    };
    if (width === image.width) {
      bytes.set(data, at.wide);
    } else {
      place(columns.first, at.columnFirst);
      place(columns.weights, at.columnWeights);
      const pass = kernels[`columns${channels}`];
      const inputRowBytes = image.width * channels;
      for (let row = 0; row < image.height; row += stripRows) {
        const count = Math.min(stripRows, image.height - row);
        bytes.set(data.subarray(row * inputRowBytes, (row + count) * inputRowBytes), at.strip);
        const to = at.wide + row * rowBytes;
        const { columnFirst, columnWeights } = at;
        pass(at.strip, to, inputRowBytes, columnFirst, columnWeights, columns.taps, width, count);
      }
    }
    if (height === image.height) return bytes.subarray(at.wide, at.wide + height * rowBytes);
    place(rows.first, at.rowFirst);
    place(rows.weights, at.rowWeights);
    kernels.rows(at.wide, at.output, rowBytes, at.rowFirst, at.rowWeights, rows.taps, height);
    return bytes.subarray(at.output, at.output + height * rowBytes);
  }
}

function cubic(x: number): number {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  if (d < 2) return ((-0.5 * d + 2.5) * d - 4) * d + 2;
  return 0;
}

/** @param multiple the number of taps is one of this */
function tapsOf(inputSize: number, outputSize: number, multiple: number): Taps {
  const scale = inputSize / outputSize;
  const filterScale = Math.max(1, scale);
  const support = SUPPORT * filterScale;
  const centerOf = (place: number): number => (place + 0.5) * scale;
  const first = new Int32Array(outputSize);
  const count = new Int32Array(outputSize);
  for (let place = 0; place < outputSize; place++) {
    const center = centerOf(place);
    first[place] = Math.max(0, Math.trunc(center - support + 0.5));
    count[place] = Math.min(inputSize, Math.trunc(center + support + 0.5)) - first[place]!;
  }
  const most = count.reduce((a, b) => Math.max(a, b));
  const taps = Math.ceil(most / multiple) * multiple;
  const weights = new Int32Array(outputSize * taps);
  const exact = new Float64Array(taps);
  for (let place = 0; place < outputSize; place++) {
    const center = centerOf(place);
    let sum = 0;
    for (let i = 0; i < count[place]!; i++) {
      const weight = cubic((i + first[place]! - center + 0.5) * (1 / filterScale));
      exact[i] = weight;
      sum += weight;
    }
    for (let i = 0; i < count[place]!; i++) {
      const fixed = (exact[i]! / sum) * 2 ** WEIGHT_BITS;
      weights[place * taps + i] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
  }
  return { first, weights, taps };
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

function nearest<M extends ImageMode>(
  image: DecodedImage<M>,
  width: number,
  height: number,
): DecodedImage<M> {
  const channels = channelsOf(image);
  const data = new Uint8Array(width * height * channels);
  const columns = nearestPlaces(image.width, width);
  let at = 0;
  for (const row of nearestPlaces(image.height, height)) {
    for (const column of columns) {
      const from = (row * image.width + column) * channels;
      for (let channel = 0; channel < channels; channel++) {
        data[at++] = image.data[from + channel]!;
      }
    }
  }
  return { ...image, width, height, data };
}

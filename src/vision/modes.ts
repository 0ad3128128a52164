/**
 * Conversions between the modes of images, in Pillow's integer arithmetic, so that levels are equal byte for byte.
 *
 * @see Pillow, src/libImaging/Convert.c
 */
import { SAMPLES, type DecodedImage, type PlainImage } from './decoded-image.ts';

/**
 * Converts an image to grey or RGB, as Pillow's `convert('RGB')`: alpha is dropped, not composited, and CMYK is
 * converted without a profile. Grey stays one channel, which stands for three equal ones.
 */
export function toPlain(image: DecodedImage): PlainImage {
  const { width, height, mode, data } = image;
  const size = { width, height, isIndexed: false };
  switch (mode) {
    case 'L':
    case 'RGB':
      return { ...size, mode, data };
    case 'LA':
      return { ...size, mode: 'L', data: firstSamples(data, SAMPLES.LA, SAMPLES.L) };
    case 'RGBA':
      return { ...size, mode: 'RGB', data: firstSamples(data, SAMPLES.RGBA, SAMPLES.RGB) };
    case 'CMYK':
      return { ...size, mode: 'RGB', data: cmykToRgb(data) };
    default:
      return mode satisfies never;
  }
}

/** First `kept` of the `all` samples of each pixel. Returns `data` itself if that is all of them. */
export function firstSamples(data: Uint8Array, all: number, kept: number): Uint8Array {
  if (kept === all) return data;
  const first = new Uint8Array((data.length / all) * kept);
  for (let from = 0, to = 0; from < data.length; from += all) {
    for (let i = 0; i < kept; i++) first[to++] = data[from + i]!;
  }
  return first;
}

/** Rounded a · b / 255, without a division. */
function times255th(a: number, b: number): number {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

function cmykToRgb(data: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const light = 255 - data[from + 3]!;
    for (let i = 0; i < 3; i++) rgb[to++] = light - times255th(data[from + i]!, light);
  }
  return rgb;
}

/**
 * Multiplies the colours of LA or RGBA pixels by alpha. A resampler then mixes in no colours of transparent pixels.
 *
 * @param samples samples of a pixel, alpha last
 */
export function multiplyByAlpha(data: Uint8Array, samples: 2 | 4): Uint8Array {
  const result = new Uint8Array(data.length);
  for (let pixel = 0; pixel < data.length; pixel += samples) {
    const at = pixel + samples - 1;
    const alpha = data[at]!;
    for (let i = pixel; i < at; i++) result[i] = times255th(data[i]!, alpha);
    result[at] = alpha;
  }
  return result;
}

/** Divides colours by alpha in place. Those of wholly transparent pixels stay. */
export function divideByAlpha(data: Uint8Array, samples: 2 | 4): void {
  for (let pixel = 0; pixel < data.length; pixel += samples) {
    const at = pixel + samples - 1;
    const alpha = data[at]!;
    if (alpha === 0 || alpha === 255) continue;
    for (let i = pixel; i < at; i++) {
      data[i] = Math.min(255, Math.trunc((255 * data[i]!) / alpha));
    }
  }
}

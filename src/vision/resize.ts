import { CxmindError } from '../errors.ts';
import type { DecodedImage, PlainImage } from './decoded-image.ts';
import { toPlain } from './modes.ts';
import type { Resampler } from './resample.ts';

/** Width and height in pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** Bounds of an image's area before the vision processor, in pixels; null is no bound. */
export interface PixelBounds {
  readonly minPixels: number | null;
  readonly maxPixels: number | null;
}

/**
 * The size an image gets before the vision processor: scaled down into `maxPixels`, then up to
 * `minPixels`, each side truncated, so the area may end slightly below the lower bound.
 *
 * @returns the sizes to go through, in order; empty when the image stays as it is
 */
export function boundedSizes(size: ImageSize, { minPixels, maxPixels }: PixelBounds): ImageSize[] {
  const sizes: ImageSize[] = [];
  let current = size;
  const scaleTo = (area: number): void => {
    const factor = Math.sqrt(area / (current.width * current.height));
    current = {
      width: Math.trunc(current.width * factor),
      height: Math.trunc(current.height * factor),
    };
    sizes.push(current);
  };
  if (maxPixels !== null && current.width * current.height > maxPixels) scaleTo(maxPixels);
  if (minPixels !== null && current.width * current.height < minPixels) scaleTo(minPixels);
  return sizes;
}

/**
 * The image resized, in its own mode, into the data set's pixel bounds, where it is not within them, and then made
 * plain. Valid until `resampler` is used again.
 */
export function boundImage(
  image: DecodedImage,
  bounds: PixelBounds,
  resampler: Resampler,
): PlainImage {
  const bounded = boundedSizes(image, bounds).reduce<DecodedImage>(
    (current, { width, height }) => resampler.resize(current, width, height),
    image,
  );
  return toPlain(bounded);
}

/** Nearest integer, ties to even, as Python rounds. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * The size the vision processor resizes to: sides multiples of `factor`, area within the processor's
 * bounds, aspect ratio nearly kept.
 *
 * @param factor patch size times merge size, 28 for Qwen2.5-VL
 * @throws DATA_INVALID when one side is more than 200 times the other
 * @see transformers, `smart_resize` of `image_processing_qwen2_vl`
 */
export function smartResize(
  { width, height }: ImageSize,
  factor: number,
  minPixels: number,
  maxPixels: number,
): ImageSize {
  const aspect = Math.max(width, height) / Math.min(width, height);
  if (aspect > 200) {
    throw new CxmindError(
      'DATA_INVALID',
      `image of ${width}x${height}: aspect ratio ${aspect.toFixed(1)} is above 200`,
    );
  }
  const rounded = {
    width: roundHalfEven(width / factor) * factor,
    height: roundHalfEven(height / factor) * factor,
  };
  const area = rounded.width * rounded.height;
  if (area > maxPixels) {
    const beta = Math.sqrt((height * width) / maxPixels);
    const shrink = (side: number): number =>
      Math.max(factor, Math.floor(side / beta / factor) * factor);
    return { width: shrink(width), height: shrink(height) };
  }
  if (area < minPixels) {
    const beta = Math.sqrt(minPixels / (height * width));
    const grow = (side: number): number => Math.ceil((side * beta) / factor) * factor;
    return { width: grow(width), height: grow(height) };
  }
  return rounded;
}

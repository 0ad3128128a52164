/** Sizes of images before they become patches: within a data set's bounds, then within the vision processor's. */
import { CxmindError } from '../errors.ts';
import { roundHalfEven } from '../round.ts';
import type { DecodedImage, ImageSize, PlainImage } from './decoded-image.ts';
import { toPlain } from './modes.ts';
import type { Resampler } from './resample.ts';

/** Bounds of an image's area before the vision processor, in pixels. Null is no bound. */
export interface PixelBounds {
  readonly minPixels: number | null;
  readonly maxPixels: number | null;
}

/**
 * Sizes that an image is resized to before the vision processor: first down to `maxPixels`, then up to `minPixels`.
 * Each side is truncated, so the area may end slightly below the lower bound.
 *
 * @returns sizes in order; empty if the image is within the bounds
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
 * Resizes an image, in its own mode, into the data set's pixel bounds, and converts it to grey or RGB. The result is
 * valid until `resampler` is used again.
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

/**
 * Size that the vision processor resizes to. Sides are multiples of `factor`, the area is within the processor's
 * bounds, and the aspect ratio is nearly kept.
 *
 * @param factor patch size times merge size, 28 for Qwen2.5-VL
 * @param frames number of frames whose areas are bounded together: as many as are taken, and as are counted in pairs
 * @throws DATA_INVALID if one side is more than 200 times the other
 * @see transformers, `smart_resize` of `image_processing_qwen2_vl` and of `video_processing_qwen3_vl`
 */
export function smartResize(
  { width, height }: ImageSize,
  factor: number,
  minPixels: number,
  maxPixels: number,
  frames = { taken: 1, counted: 1 },
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
  const area = rounded.width * rounded.height * frames.counted;
  const given = height * width * frames.taken;
  if (area > maxPixels) {
    const beta = Math.sqrt(given / maxPixels);
    const shrink = (side: number): number =>
      Math.max(factor, Math.floor(side / beta / factor) * factor);
    return { width: shrink(width), height: shrink(height) };
  }
  if (area < minPixels) {
    const beta = Math.sqrt(minPixels / given);
    const grow = (side: number): number => Math.ceil((side * beta) / factor) * factor;
    return { width: grow(width), height: grow(height) };
  }
  return rounded;
}

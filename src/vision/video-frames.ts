/**
 * Rules of videos whose frames follow each other in the text without a break. They are those of qwen-vl-utils, after
 * which the checkpoint's processor resizes once more.
 */
import { CxmindError } from '../errors.ts';
import { roundHalfEven } from '../round.ts';
import { processedSize, type ProcessorSettings } from './processor.ts';
import type { ImageSize } from './decoded-image.ts';
import { smartResize, type PixelBounds } from './resize.ts';
import { FRAME_FACTOR, type SampledFrames, type VideoRules } from './video-rules.ts';

/** Divisor of a frame's sides: a patch of 14 pixels, merged two by two. */
const FACTOR = 28;
const MIN_FRAMES = 4;
const MAX_FRAMES = 768;

/** Bounds of a frame's area. The data set may raise the lower one and lower the upper one. */
const FRAME_MIN_PIXELS = 128 * FACTOR * FACTOR;
const FRAME_MAX_PIXELS = 768 * FACTOR * FACTOR;
/** Largest area of all frames together: nine tenths of a context of 128,000 tokens. */
const VIDEO_MAX_PIXELS = Math.trunc(128_000 * FACTOR * FACTOR * 0.9);
/** Bounds of the area of a picture that is given as a frame. */
const PICTURE_MIN_PIXELS = 4 * FACTOR * FACTOR;
const PICTURE_MAX_PIXELS = 16_384 * FACTOR * FACTOR;

/** Makes the rules from a checkpoint's processor and a data set's bounds. */
export function joinedFrames(processor: ProcessorSettings, bounds: PixelBounds): VideoRules {
  const sizes = (first: ImageSize): readonly ImageSize[] => [
    first,
    processedSize(first, processor),
  ];
  return {
    sample: sampleFrames,
    fileSizes: (size, frames) => sizes(videoFrameSize(size, frames, bounds)),
    pictureSizes: (size) => sizes(pictureFrameSize(size, bounds)),
  };
}

/**
 * Samples frames of a video evenly from the first to the last.
 *
 * Their number is duration times `wantedFps`, but at least 4, at most 768, not more than the video has, and even.
 *
 * @param total number of frames of the video
 * @param fps   frames per second of the video
 * @throws DATA_INVALID for a video of one frame
 * @see `smart_nframes` of qwen-vl-utils
 */
export function sampleFrames(total: number, fps: number, wantedFps: number): SampledFrames {
  const most = floorToEven(Math.min(MAX_FRAMES, total));
  const wanted = Math.max((total / fps) * wantedFps, MIN_FRAMES);
  const count = floorToEven(Math.min(wanted, most, total));
  if (count < FRAME_FACTOR) {
    throw new CxmindError('DATA_INVALID', `a video of ${total} frame(s); it takes ${FRAME_FACTOR}`);
  }
  return { indices: evenlySpaced(total - 1, count), fps: (count / total) * fps };
}

function floorToEven(value: number): number {
  return Math.floor(value / FRAME_FACTOR) * FRAME_FACTOR;
}

/** Rounded values of `torch.linspace(0, last, count)`, which computes in float32 from both ends to the middle. */
function evenlySpaced(last: number, count: number): number[] {
  const step = Math.fround(last / (count - 1));
  return Array.from({ length: count }, (_, i) => {
    const fromEnd = count - 1 - i;
    const place =
      i < count / 2 ? Math.fround(step * i) : Math.fround(last - Math.fround(step * fromEnd));
    return roundHalfEven(place);
  });
}

/**
 * Size of a video's frames before the vision processor. Sides are multiples of 28, and the area is within the bounds
 * of the data set and of qwen-vl-utils, whose upper bound falls with the number of frames.
 */
export function videoFrameSize(
  size: ImageSize,
  frames: number,
  { minPixels, maxPixels }: PixelBounds,
): ImageSize {
  const least = minPixels ?? FRAME_MIN_PIXELS;
  const share = Math.min(FRAME_MAX_PIXELS, (VIDEO_MAX_PIXELS / frames) * FRAME_FACTOR);
  const most = Math.max(share, Math.trunc(least * 1.05));
  return smartResize(size, FACTOR, least, Math.min(maxPixels ?? most, most));
}

/** Size of a picture that is given as a frame, before the vision processor. */
export function pictureFrameSize(
  size: ImageSize,
  { minPixels, maxPixels }: PixelBounds,
): ImageSize {
  return smartResize(
    size,
    FACTOR,
    minPixels ?? PICTURE_MIN_PIXELS,
    maxPixels ?? PICTURE_MAX_PIXELS,
  );
}

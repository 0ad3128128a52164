import { CxmindError } from '../errors.ts';
import { roundHalfEven, smartResize, type ImageSize, type PixelBounds } from './resize.ts';

/** Sides of a frame are multiples of this: a patch of 14 pixels, merged two by two. */
const FACTOR = 28;
/** Frames come in pairs: a patch of the vision tower is two frames deep. */
const FRAME_FACTOR = 2;
const MIN_FRAMES = 4;
const MAX_FRAMES = 768;

/** Bounds of the areas, where the data set gives none or wider ones. */
const FRAME_MIN_PIXELS = 128 * FACTOR * FACTOR;
const FRAME_MAX_PIXELS = 768 * FACTOR * FACTOR;
/** Of all frames together: nine tenths of a context of 128,000 tokens. */
const VIDEO_MAX_PIXELS = Math.trunc(128_000 * FACTOR * FACTOR * 0.9);
/** Of pictures that are given as the frames of a video. */
const PICTURE_MIN_PIXELS = 4 * FACTOR * FACTOR;
const PICTURE_MAX_PIXELS = 16_384 * FACTOR * FACTOR;

/** Which frames of a video are taken. */
export interface SampledFrames {
  /** Ascending, an even number of them. */
  readonly indices: readonly number[];
  /** Taken frames a second of the video. */
  readonly fps: number;
}

/**
 * The frames that stand for a video: duration times `wantedFps` of them, at least 4, at most 768 and no more than
 * there are, an even number, spread evenly from the first to the last.
 *
 * @param total frames of the video
 * @param fps   its frames a second
 * @throws DATA_INVALID for a video of one frame
 * @see `smart_nframes` of qwen-vl-utils, and spec/data.md, 4
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

/** Rounded places from 0 to `last`, as `torch.linspace` has them: in float32, from both ends to the middle. */
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
 * The size of a video's frames before the vision processor: multiples of 28, the area within the data set's bounds
 * and within those of qwen-vl-utils, by which more frames are smaller ones.
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

/** The size of one of the pictures that are given as a video's frames. */
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

/** Pictures in pairs: of an odd number the last comes twice. */
export function inPairs<T>(frames: readonly T[]): readonly T[] {
  return frames.length % FRAME_FACTOR === 0 ? frames : [...frames, frames.at(-1)!];
}

/** Seconds from one pair of frames to the next. */
export function secondsPerPair(fps: number): number {
  return FRAME_FACTOR / fps;
}

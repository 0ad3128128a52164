/**
 * Rules of Qwen3-VL's videos, whose frames stand apart in the text.
 *
 * The processor of the checkpoint bounds the number of frames, and the area of all of them together. The bounds of the
 * data set hold for one frame, as they do for a picture.
 *
 * @see `Qwen3VLVideoProcessor` of transformers
 */
import { CxmindError } from '../errors.ts';
import { roundHalfEven } from '../round.ts';
import type { ProcessorSettings } from './processor.ts';
import type { ImageSize } from './decoded-image.ts';
import { boundedSizes, smartResize, type PixelBounds } from './resize.ts';
import { FRAME_FACTOR, type SampledFrames, type VideoRules } from './video-rules.ts';

/** Makes the rules from a checkpoint's processor and a data set's bounds. */
export function timedFrames(processor: ProcessorSettings, bounds: PixelBounds): VideoRules {
  const sizes = (size: ImageSize, frames: number): readonly ImageSize[] => [
    timedFrameSize(size, frames, processor, bounds),
  ];
  return {
    sample: (total, fps, wantedFps) => sampleTimedFrames(total, fps, wantedFps, processor),
    fileSizes: sizes,
    pictureSizes: sizes,
  };
}

/**
 * Samples frames of a video evenly from the first to the last: duration times `wantedFps`, within the processor's
 * bounds, and not more than the video has.
 *
 * @throws DATA_INVALID for a video of one frame
 */
export function sampleTimedFrames(
  total: number,
  fps: number,
  wantedFps: number,
  { minFrames, maxFrames }: Pick<ProcessorSettings, 'minFrames' | 'maxFrames'>,
): SampledFrames {
  const wanted = Math.max(Math.trunc((total / fps) * wantedFps), minFrames);
  const count = Math.min(wanted, maxFrames, total);
  if (count < FRAME_FACTOR) {
    throw new CxmindError('DATA_INVALID', `a video of ${total} frame(s); it takes ${FRAME_FACTOR}`);
  }
  const step = (total - 1) / (count - 1);
  const indices = Array.from({ length: count }, (_, i) => roundHalfEven(i * step));
  return { indices, fps: (count / total) * fps };
}

/**
 * Size of each of `frames` frames, in whole merged patches. The data set's bounds are applied before the processor's.
 */
export function timedFrameSize(
  size: ImageSize,
  frames: number,
  { patchSize, mergeSize, minPixels, maxPixels }: ProcessorSettings,
  bounds: PixelBounds,
): ImageSize {
  const factor = patchSize * mergeSize;
  const { width, height } = boundedSizes(size, bounds).at(-1) ?? size;
  const scale = Math.max(1, factor / height, factor / width);
  const large = { width: Math.trunc(width * scale), height: Math.trunc(height * scale) };
  const counted = roundHalfEven(frames / FRAME_FACTOR) * FRAME_FACTOR;
  return smartResize(large, factor, minPixels, maxPixels, { taken: frames, counted });
}

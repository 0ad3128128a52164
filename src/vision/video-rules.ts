/** Parts that all rules of videos have in common: frames are taken in pairs, since a patch is two frames deep. */
import type { ImageSize } from './decoded-image.ts';

/** Divisor of the number of frames. */
export const FRAME_FACTOR = 2;

/** Sampled frames of a video. */
export interface SampledFrames {
  /** Frame numbers, ascending. */
  readonly indices: readonly number[];
  /** Sampled frames per second of the video. */
  readonly fps: number;
}

/** Rules by which a model family takes frames of videos and resizes them. */
export interface VideoRules {
  /**
   * Samples frames of a file.
   *
   * @param total number of frames of the video
   * @param fps   frames per second of the video
   * @throws DATA_INVALID for a video of one frame
   */
  readonly sample: (total: number, fps: number, wantedFps: number) => SampledFrames;
  /** Sizes that each frame of a file is resized to, in order; the last has whole merged patches. */
  readonly fileSizes: (size: ImageSize, frames: number) => readonly ImageSize[];
  /** Sizes of pictures that are given as the frames of a video. */
  readonly pictureSizes: (size: ImageSize, frames: number) => readonly ImageSize[];
}

/** Frames in an even number: the last of an odd number is repeated. */
export function inPairs<T>(frames: readonly T[]): readonly T[] {
  return frames.length % FRAME_FACTOR === 0 ? frames : [...frames, frames.at(-1)!];
}

/** Seconds from one pair of frames to the next at `fps` frames per second. */
export function secondsPerPair(fps: number): number {
  return FRAME_FACTOR / fps;
}

/**
 * Times of pairs of frames in seconds: the middle between the two frames of each.
 *
 * @param indices numbers of the frames
 * @param fps     frames per second that they are numbered by
 */
export function pairTimes(indices: readonly number[], fps: number): number[] {
  const times = inPairs(indices).map((index) => index / fps);
  return Array.from({ length: times.length / FRAME_FACTOR }, (_, pair) => {
    return (times[FRAME_FACTOR * pair]! + times[FRAME_FACTOR * pair + 1]!) / 2;
  });
}

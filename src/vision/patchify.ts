import { zeros, type Tensor } from '../tensor/tensor.ts';
import type { RgbImage } from './decode.ts';

/** Patches along time, height and width. */
export type Grid = readonly [t: number, h: number, w: number];

/** How pixels become patch rows. */
export interface PatchLayout {
  readonly patchSize: number;
  readonly temporalPatchSize: number;
  readonly mergeSize: number;
  /** Per channel, of pixel values scaled to [0, 1]. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/**
 * Normalised patch rows of frames, `f32 [N, 3 · Pt · P · P]`.
 *
 * Rows go by time, then by merge block (block row, block column), then row and column within the block, so that the
 * patches merged into one token are neighbours. A row is channel, time, y, x.
 *
 * @param frames of one size, whose sides are multiples of patchSize · mergeSize; their number is one of
 *   temporalPatchSize. A still image is a frame repeated
 */
export function patchify(
  frames: readonly RgbImage[],
  layout: PatchLayout,
): { pixelValues: Tensor<'f32'>; grid: Grid } {
  const { patchSize, temporalPatchSize, mergeSize } = layout;
  const { width, height } = frames[0]!;
  const gridTime = frames.length / temporalPatchSize;
  const gridHeight = height / patchSize;
  const gridWidth = width / patchSize;
  const patchArea = patchSize * patchSize;
  const rowSize = 3 * temporalPatchSize * patchArea;
  const pixelValues = zeros('f32', [gridTime * gridHeight * gridWidth, rowSize]);
  const output = pixelValues.data;
  const levels = layout.mean.map((mean, channel) => levelsOf(mean, layout.std[channel]!));
  let at = 0;
  for (let first = 0; first < frames.length; first += temporalPatchSize) {
    for (let blockY = 0; blockY < gridHeight; blockY += mergeSize) {
      for (let blockX = 0; blockX < gridWidth; blockX += mergeSize) {
        for (let cell = 0; cell < mergeSize * mergeSize; cell++) {
          const top = (blockY + Math.floor(cell / mergeSize)) * patchSize;
          const left = (blockX + (cell % mergeSize)) * patchSize;
          for (let channel = 0; channel < 3; channel++) {
            const level = levels[channel]!;
            for (let time = 0; time < temporalPatchSize; time++, at += patchArea) {
              const frame = frames[first + time]!;
              if (time > 0 && frame === frames[first + time - 1]) {
                output.copyWithin(at, at - patchArea, at);
                continue;
              }
              let to = at;
              for (let y = top; y < top + patchSize; y++) {
                let from = (y * width + left) * 3 + channel;
                for (let x = 0; x < patchSize; x++, from += 3) {
                  output[to++] = level[frame.data[from]!]!;
                }
              }
            }
          }
        }
      }
    }
  }
  return { pixelValues, grid: [gridTime, gridHeight, gridWidth] };
}

/** The normalised value of each of the 256 levels of a channel. */
function levelsOf(mean: number, std: number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, level) => (level / 255 - mean) / std);
}

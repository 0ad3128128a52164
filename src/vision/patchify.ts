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
 * Normalised patch rows of a still image, `f32 [N, 3 · Pt · P · P]`.
 *
 * Rows go by merge block (block row, block column), then row and column within the block, so that the
 * patches merged into one token are neighbours. A row is channel, time, y, x; the image is repeated
 * along time.
 *
 * @param image sides must be multiples of patchSize · mergeSize
 */
export function patchify(
  image: RgbImage,
  layout: PatchLayout,
): { pixelValues: Tensor<'f32'>; grid: Grid } {
  const { patchSize, temporalPatchSize, mergeSize } = layout;
  const gridHeight = image.height / patchSize;
  const gridWidth = image.width / patchSize;
  const patchArea = patchSize * patchSize;
  const rowSize = 3 * temporalPatchSize * patchArea;
  const pixelValues = zeros('f32', [gridHeight * gridWidth, rowSize]);
  const levels = layout.mean.map((mean, channel) => levelsOf(mean, layout.std[channel]!));
  let at = 0;
  for (let blockY = 0; blockY < gridHeight; blockY += mergeSize) {
    for (let blockX = 0; blockX < gridWidth; blockX += mergeSize) {
      for (let cell = 0; cell < mergeSize * mergeSize; cell++) {
        const top = (blockY + Math.floor(cell / mergeSize)) * patchSize;
        const left = (blockX + (cell % mergeSize)) * patchSize;
        for (const [channel, level] of levels.entries()) {
          const frame = at;
          for (let y = top; y < top + patchSize; y++) {
            let from = (y * image.width + left) * 3 + channel;
            for (let x = 0; x < patchSize; x++, from += 3) {
              pixelValues.data[at++] = level[image.data[from]!]!;
            }
          }
          for (let time = 1; time < temporalPatchSize; time++) {
            pixelValues.data.copyWithin(at, frame, frame + patchArea);
            at += patchArea;
          }
        }
      }
    }
  }
  return { pixelValues, grid: [1, gridHeight, gridWidth] };
}

/** The normalised value of each of the 256 levels of a channel. */
function levelsOf(mean: number, std: number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, level) => (level / 255 - mean) / std);
}

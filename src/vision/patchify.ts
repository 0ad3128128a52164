import { LEVELS, type PatchLevels } from '../tensor/patch-levels.ts';
import { tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import { channelsOf, type DecodedImage } from './decode.ts';

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

/** Memory for levels of that shape. */
export type LevelMemory = (shape: readonly number[]) => Tensor<'u8'>;

/**
 * Patch rows of frames, `[N, 3 · Pt · P · P]`, as levels.
 *
 * Rows go by time, then by merge block (block row, block column), then row and column within the block, so that the
 * patches merged into one token are neighbours. A row is channel, time, y, x.
 *
 * @param frames of one size, whose sides are multiples of patchSize · mergeSize; their number is one of
 *   temporalPatchSize. A still image is a frame repeated
 * @param values   what levels are worth, f32 `[3, 256]`
 * @param allocate gives memory for the levels, whatever it held before
 */
export function patchify(
  frames: readonly DecodedImage[],
  layout: PatchLayout,
  values = levelValues(layout),
  allocate: LevelMemory = (shape) => zeros('u8', shape),
): { pixelValues: PatchLevels; grid: Grid } {
  const { patchSize, temporalPatchSize, mergeSize } = layout;
  const { width, height } = frames[0]!;
  const gridTime = frames.length / temporalPatchSize;
  const gridHeight = height / patchSize;
  const gridWidth = width / patchSize;
  const isStill = frames.every((frame, i) => frame === frames[i - (i % temporalPatchSize)]);
  const moving = isStill ? 1 : temporalPatchSize;
  const channels = Math.max(...frames.map(channelsOf));
  const area = patchSize ** 2;
  const levels = allocate([gridTime * gridHeight * gridWidth, channels, moving, area]);
  let at = 0;
  for (let first = 0; first < frames.length; first += temporalPatchSize) {
    for (let blockY = 0; blockY < gridHeight; blockY += mergeSize) {
      for (let blockX = 0; blockX < gridWidth; blockX += mergeSize) {
        for (let cell = 0; cell < mergeSize * mergeSize; cell++, at += channels * moving * area) {
          const top = (blockY + Math.floor(cell / mergeSize)) * patchSize;
          const left = (blockX + (cell % mergeSize)) * patchSize;
          for (let time = 0; time < moving; time++) {
            const frame = frames[first + time]!;
            const cut = channels === 1 ? cutGrey : channelsOf(frame) === 1 ? cutGreyAsRgb : cutRgb;
            cut(
              frame.data,
              top * width + left,
              width,
              patchSize,
              levels.data,
              at + time * area,
              moving * area,
            );
          }
        }
      }
    }
  }
  const pixelValues = { levels, values, frames: temporalPatchSize };
  return { pixelValues, grid: [gridTime, gridHeight, gridWidth] };
}

/**
 * Copies a square of pixels to `output`.
 *
 * @param first  its first pixel's place in the image
 * @param width  of the image, pixels
 * @param size   of the square's sides, pixels
 * @param to     where the square's first channel goes
 * @param plane  from one channel to the next
 */
type Cut = (
  data: Uint8Array,
  first: number,
  width: number,
  size: number,
  output: Uint8Array,
  to: number,
  plane: number,
) => void;

const cutGrey: Cut = (data, first, width, size, output, to) => {
  for (let y = 0, at = to; y < size; y++) {
    let from = first + y * width;
    for (let x = 0; x < size; x++) output[at++] = data[from++]!;
  }
};

const cutRgb: Cut = (data, first, width, size, output, to, plane) => {
  for (let y = 0, at = to; y < size; y++) {
    let from = (first + y * width) * 3;
    for (let x = 0; x < size; x++, at++, from += 3) {
      output[at] = data[from]!;
      output[at + plane] = data[from + 1]!;
      output[at + 2 * plane] = data[from + 2]!;
    }
  }
};

const cutGreyAsRgb: Cut = (data, first, width, size, output, to, plane) => {
  for (let channel = 0; channel < 3; channel++) {
    cutGrey(data, first, width, size, output, to + channel * plane, plane);
  }
};

/** The normalised values of the 256 levels of each channel, f32 `[3, 256]`. */
export function levelValues({ mean, std }: PatchLayout): Tensor<'f32'> {
  const values = Array.from({ length: 3 * LEVELS }, (_, i) => {
    const channel = Math.floor(i / LEVELS);
    return ((i % LEVELS) / 255 - mean[channel]!) / std[channel]!;
  });
  return tensorOf('f32', [3, LEVELS], values);
}

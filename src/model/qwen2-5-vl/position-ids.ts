import { CxmindError } from '../../errors.ts';
import { zeros, type Tensor } from '../../tensor/tensor.ts';
import type { PromptMedia } from '../architecture.ts';
import type { ModelConfig } from '../model-config.ts';

/** Patches of one image or video along time, height and width, before merging. */
type VisionGrid = readonly [t: number, h: number, w: number];

/** Placeholders, grids and constants by which positions are computed. */
export interface PositionOptions {
  readonly imageTokenId: number;
  readonly videoTokenId?: number;
  /** Grids of the images and videos, in order of appearance. */
  readonly imageGrids: readonly VisionGrid[];
  readonly videoGrids?: readonly VisionGrid[];
  /** Seconds per temporal patch of each video; 1 where absent. */
  readonly videoSecondsPerGrid?: readonly number[];
  /** Patches merged per side; 2 in Qwen2.5-VL. */
  readonly mergeSize?: number;
  /** Temporal positions per second; 2 in Qwen2.5-VL. */
  readonly tokensPerSecond?: number;
}

/** Rotary positions of a sequence and of the token after it. */
export interface MropePositions {
  /** Temporal, height and width positions, i32 `[3, T]`. */
  readonly positions: Tensor<'i32'>;
  /** The position of the token after the sequence, the same in all three rows. */
  readonly next: number;
  /** Offset `next - T` from a later token's index to its position. */
  readonly ropeDelta: number;
}

/**
 * Multimodal rotary positions of a sequence.
 *
 * Text advances three equal rows by one. An image or video spreads over time, height and width from the position at
 * which it begins. The text after it continues from the largest of these positions plus one.
 *
 * @param ids expanded token ids, one placeholder for each merged patch
 * @throws DATA_INVALID when the placeholders and the grids do not fit each other
 * @see `get_rope_index` of Qwen2.5-VL in transformers and EasyR1
 */
export function mropePositions(ids: ArrayLike<number>, options: PositionOptions): MropePositions {
  const { imageTokenId, videoTokenId, imageGrids, videoGrids = [] } = options;
  const { mergeSize = 2, tokensPerSecond = 2 } = options;
  const length = ids.length;
  const positions = zeros('i32', [3, length]);
  const { data } = positions;
  let next = 0;
  let image = 0;
  let video = 0;
  let at = 0;
  while (at < length) {
    const id = ids[at]!;
    if (id !== imageTokenId && id !== videoTokenId) {
      data[at] = data[length + at] = data[2 * length + at] = next++;
      at++;
      continue;
    }
    const isVideo = id === videoTokenId;
    const grid = isVideo ? videoGrids[video] : imageGrids[image];
    const kind = isVideo ? 'video' : 'image';
    const number = isVideo ? video++ : image++;
    if (grid === undefined) {
      throw new CxmindError(
        'DATA_INVALID',
        `positions: token ${at} begins ${kind} ${number + 1}, which has no grid`,
      );
    }
    const seconds = isVideo ? (options.videoSecondsPerGrid?.[number] ?? 1) : 0;
    const [frames, height, width] = [grid[0], grid[1] / mergeSize, grid[2] / mergeSize];
    const base = next;
    for (let t = 0; t < frames; t++) {
      const temporal = base + Math.trunc(t * seconds * tokensPerSecond);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          if (at >= length || ids[at] !== id) {
            throw new CxmindError(
              'DATA_INVALID',
              `positions: ${kind} ${number + 1} of grid [${grid.join(', ')}] wants ` +
                `${frames * height * width} placeholders, but token ${at} is not one`,
            );
          }
          data[at] = temporal;
          data[length + at] = base + y;
          data[2 * length + at] = base + x;
          next = Math.max(next, temporal + 1, base + y + 1, base + x + 1);
          at++;
        }
      }
    }
  }
  if (image !== imageGrids.length || video !== videoGrids.length) {
    throw new CxmindError(
      'DATA_INVALID',
      `positions: ${imageGrids.length} images and ${videoGrids.length} videos, ` +
        `but placeholders of ${image} and ${video}`,
    );
  }
  return { positions, next, ropeDelta: next - length };
}

/** Placeholder id of a model without vision, which no vocabulary has. */
const NO_TOKEN = -1;

/**
 * Rotary positions of a prompt with images or with videos, i32 `[3, T]`. All tokens are text without vision.
 *
 * @throws DATA_INVALID as `mropePositions`
 */
export function promptPositions(
  { tokens, vision }: ModelConfig,
  tokenIds: ArrayLike<number>,
  { grids, secondsPerGrid }: PromptMedia,
): Tensor<'i32'> {
  const media =
    secondsPerGrid === null
      ? { imageGrids: grids }
      : { imageGrids: [], videoGrids: grids, videoSecondsPerGrid: secondsPerGrid };
  return mropePositions(tokenIds, {
    imageTokenId: tokens?.imagePad ?? NO_TOKEN,
    videoTokenId: tokens?.videoPad ?? NO_TOKEN,
    ...media,
    ...(vision && { mergeSize: vision.mergeSize, tokensPerSecond: vision.tokensPerSecond }),
  }).positions;
}

import { CxmindError } from '../errors.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';
import type { PromptMedia } from './architecture.ts';
import type { Grid } from './batch.ts';
import type { ModelConfig } from './model-config.ts';

/** Placeholders, grids and constants by which positions are computed. */
export interface PositionOptions {
  readonly imageTokenId: number;
  readonly videoTokenId?: number;
  /** Grids of the images and videos, in order of appearance. */
  readonly imageGrids: readonly Grid[];
  readonly videoGrids?: readonly Grid[];
  /** Seconds per temporal patch of each video; 1 where absent. */
  readonly videoSecondsPerGrid?: readonly number[];
  /** Patches merged per side; 2 in Qwen2.5-VL. */
  readonly mergeSize?: number;
  /** Temporal positions per second; 2 in Qwen2.5-VL. */
  readonly tokensPerSecond?: number;
}

/**
 * Multimodal rotary positions of a sequence: temporal, height and width positions, i32 `[3, T]`.
 *
 * Text advances three equal rows by one. An image or video spreads over time, height and width from the position at
 * which it begins. The text after it continues from the largest of these positions plus one.
 *
 * @param ids expanded token ids, one placeholder for each merged patch
 * @throws DATA_INVALID when the placeholders and the grids do not fit each other
 * @see `get_rope_index` of Qwen2.5-VL in transformers and EasyR1
 */
export function mropePositions(ids: ArrayLike<number>, options: PositionOptions): Tensor<'i32'> {
  const { imageTokenId, videoTokenId, imageGrids, videoGrids = [] } = options;
  const { mergeSize = 2, tokensPerSecond = 2 } = options;
  const grids = { image: imageGrids, video: videoGrids };
  const seen = { image: 0, video: 0 };
  const length = ids.length;
  const positions = zeros('i32', [3, length]);
  const { data } = positions;
  const put = (at: number, temporal: number, height: number, width: number): void => {
    data[at] = temporal;
    data[length + at] = height;
    data[2 * length + at] = width;
  };
  let [at, next] = [0, 0];
  while (at < length) {
    const id = ids[at]!;
    if (id !== imageTokenId && id !== videoTokenId) {
      put(at++, next, next, next);
      next++;
      continue;
    }
    const kind = id === videoTokenId ? 'video' : 'image';
    const number = seen[kind]++;
    const grid = grids[kind][number];
    if (grid === undefined) {
      throw dataInvalid(`token ${at} begins ${kind} ${number + 1}, which has no grid`);
    }
    const seconds = kind === 'video' ? (options.videoSecondsPerGrid?.[number] ?? 1) : 0;
    const base = next;
    visitPatches(grid, mergeSize, (frame, y, x) => {
      if (ids[at] !== id) {
        throw dataInvalid(
          `${kind} ${number + 1} of grid [${grid.join(', ')}] wants ${mergedCount(grid, mergeSize)} placeholders, ` +
            `but token ${at} is not one`,
        );
      }
      const temporal = base + Math.trunc(frame * seconds * tokensPerSecond);
      put(at++, temporal, base + y, base + x);
      next = Math.max(next, temporal + 1, base + y + 1, base + x + 1);
    });
  }
  if (seen.image !== imageGrids.length || seen.video !== videoGrids.length) {
    throw dataInvalid(
      `${imageGrids.length} images and ${videoGrids.length} videos, ` +
        `but placeholders of ${seen.image} and ${seen.video}`,
    );
  }
  return positions;
}

/** Visits the merged patches of an image or video in the order of their tokens. */
function visitPatches(
  [frames, height, width]: Grid,
  mergeSize: number,
  visit: (frame: number, y: number, x: number) => void,
): void {
  for (let frame = 0; frame < frames; frame++) {
    for (let y = 0; y < height / mergeSize; y++) {
      for (let x = 0; x < width / mergeSize; x++) visit(frame, y, x);
    }
  }
}

/** Number of merged patches of an image or video. */
function mergedCount([t, h, w]: Grid, mergeSize: number): number {
  return (t * h * w) / mergeSize ** 2;
}

function dataInvalid(message: string): CxmindError {
  return new CxmindError('DATA_INVALID', `positions: ${message}`);
}

/**
 * Rotary positions of a prompt whose videos are frames apart from each other, i32 `[3, T]`. The text says when a frame
 * was; its position in time is its place in the text.
 *
 * @throws DATA_INVALID as `mropePositions`
 */
export function framePositions(
  config: ModelConfig,
  tokenIds: ArrayLike<number>,
  { grids, secondsPerGrid }: PromptMedia,
): Tensor<'i32'> {
  const frames = frameGrids(grids);
  const isVideo = secondsPerGrid !== null;
  return promptPositions(config, tokenIds, {
    grids: isVideo ? frames : grids,
    secondsPerGrid: isVideo ? frames.map(() => 1) : null,
  });
}

/** Grids of the frames of videos, which stand apart from each other. */
export function frameGrids(videos: readonly Grid[]): Grid[] {
  return videos.flatMap(([t, h, w]) => Array.from({ length: t }, (): Grid => [1, h, w]));
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
  const isVideo = secondsPerGrid !== null;
  return mropePositions(tokenIds, {
    imageTokenId: tokens?.imagePad ?? NO_TOKEN,
    videoTokenId: tokens?.videoPad ?? NO_TOKEN,
    imageGrids: isVideo ? [] : grids,
    videoGrids: isVideo ? grids : [],
    // Positions that count frames are positions by the second, with a frame a second.
    videoSecondsPerGrid: isVideo && vision?.tokensPerSecond !== null ? secondsPerGrid : [],
    ...(vision && { mergeSize: vision.mergeSize, tokensPerSecond: vision.tokensPerSecond ?? 1 }),
  });
}

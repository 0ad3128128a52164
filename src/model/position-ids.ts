/**
 * Multimodal rotary positions (M-RoPE of Qwen2-VL, arXiv:2409.12191), as `get_rope_index` of Qwen2.5-VL in transformers
 * and EasyR1 counts them.
 */
import { CxmindError } from '../errors.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';
import type { Grid } from '../tensor/patch-levels.ts';
import { architectureOf } from './families.ts';
import type { ModelConfig } from './model-config.ts';

/** The images or videos of a prompt, in patches. */
export interface PromptMedia {
  readonly grids: readonly Grid[];
  /** Seconds per temporal patch of each, where they are videos; null where they are images. */
  readonly secondsPerGrid: readonly number[] | null;
}

/**
 * Multimodal rotary positions of a prompt with images or with videos: temporal, height and width, i32 `[3, T]`.
 *
 * Text advances three equal rows by one. An image or video spreads over time, height and width from the position at
 * which it begins. The text after it continues from the largest of these positions plus one. All tokens are text
 * without vision.
 *
 * @param ids expanded token ids, one placeholder for each merged patch
 * @throws DATA_INVALID when the placeholders and the grids do not fit each other
 */
export function promptPositions(
  config: ModelConfig,
  ids: ArrayLike<number>,
  { grids, secondsPerGrid }: PromptMedia,
): Tensor<'i32'> {
  const { imagePad, videoPad } = config.tokens ?? {};
  // Positions that count frames are positions by the second, with a frame a second.
  const { mergeSize = 1, tokensPerSecond = null } = config.vision ?? {};
  const isVideo = secondsPerGrid !== null;
  const given = { image: isVideo ? [] : grids, video: isVideo ? videoGrids(config, grids) : [] };
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
    if (id !== imagePad && id !== videoPad) {
      put(at++, next, next, next);
      next++;
      continue;
    }
    const kind = id === videoPad ? 'video' : 'image';
    const number = seen[kind]++;
    const grid = given[kind][number];
    if (grid === undefined) {
      throw dataInvalid(`token ${at} begins ${kind} ${number + 1}, which has no grid`);
    }
    const seconds = tokensPerSecond === null ? 1 : (secondsPerGrid?.[number] ?? 1);
    const base = next;
    const patches = patchesOf(grid, mergeSize);
    for (const [frame, y, x] of patches) {
      if (ids[at] !== id) {
        throw dataInvalid(
          `${kind} ${number + 1} of grid [${grid.join(', ')}] wants ${patches.length} placeholders, ` +
            `but token ${at} is not one`,
        );
      }
      const passed = isVideo ? Math.trunc(frame * seconds * (tokensPerSecond ?? 1)) : 0;
      put(at++, base + passed, base + y, base + x);
      next = Math.max(next, base + passed + 1, base + y + 1, base + x + 1);
    }
  }
  if (seen.image !== given.image.length || seen.video !== given.video.length) {
    throw dataInvalid(
      `${given.image.length} images and ${given.video.length} videos, ` +
        `but placeholders of ${seen.image} and ${seen.video}`,
    );
  }
  return positions;
}

/** Grids that a prompt with videos has placeholders for: each video's, or its frames' where the text says when each was. */
function videoGrids(config: ModelConfig, videos: readonly Grid[]): readonly Grid[] {
  return architectureOf(config).frames === 'apart' ? frameGrids(videos) : videos;
}

/** Frame, row and column of each merged patch of a grid, frame by frame and row by row. */
function patchesOf([frames, height, width]: Grid, mergeSize: number): [number, number, number][] {
  const [rows, columns] = [height / mergeSize, width / mergeSize];
  return Array.from({ length: frames * rows * columns }, (_, patch) => [
    Math.floor(patch / (rows * columns)),
    Math.floor(patch / columns) % rows,
    patch % columns,
  ]);
}

/** Grids of the frames of videos, which stand apart from each other. */
export function frameGrids(videos: readonly Grid[]): Grid[] {
  return videos.flatMap(([t, h, w]) => Array.from({ length: t }, (): Grid => [1, h, w]));
}

function dataInvalid(message: string): CxmindError {
  return new CxmindError('DATA_INVALID', `positions: ${message}`);
}

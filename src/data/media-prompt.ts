/** Prompts with images or videos among their tokens: their placeholders, and the input of a model. */
import type { PromptInput } from '../model/pack.ts';
import { frameGrids } from '../model/position-ids.ts';
import { stackLevels, type Grid, type PatchLevels } from '../tensor/patch-levels.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import { expandPlaceholders } from '../text/image-tokens.ts';
import type { Media, MediaGrid, ReadMedia, SampleVision } from './sample-media.ts';

/** Places of images or videos in a prompt's text. */
export interface MediaPlaces {
  /** Tokens of each placeholder, in order: an image and a video has one, and so has a frame that stands apart. */
  readonly tokenCounts: readonly number[];
  /** Times of each video's frames in seconds, where frames stand apart in the text; null otherwise. */
  readonly frameTimes: readonly (readonly number[])[] | null;
}

/** Places of images or videos in a text, which has one of the two kinds. A model without vision has none. */
export function placesOf(
  vision: SampleVision | null,
  kind: Media['kind'],
  read: readonly MediaGrid[],
): MediaPlaces {
  if (vision === null) return { tokenCounts: [], frameTimes: null };
  const { pixels } = vision;
  const isApart = kind === 'video' && pixels.settings.frames === 'apart';
  const grids = read.map(({ grid }) => grid);
  return {
    tokenCounts: (isApart ? frameGrids(grids) : grids).map((grid) => pixels.tokensOf(grid)),
    frameTimes: isApart ? read.map(({ times = [] }) => times) : null,
  };
}

/** Makes the error of a text that has another number of placeholders than `wanted`. */
type Misplaced = (kind: Media['kind'], found: number, wanted: number) => Error;

/**
 * Repeats each placeholder of a text once for each token of its image or video.
 *
 * @param ids tokens of the text; those of a model without vision stay as they are
 * @throws `misplaced` where the text itself has a placeholder: one that is spelt out would be given pixels
 */
export function expandedIds(
  ids: readonly number[],
  vision: SampleVision | null,
  { kind, tokenCounts }: Pick<Media, 'kind'> & Pick<MediaPlaces, 'tokenCounts'>,
  misplaced: Misplaced,
): Int32Array {
  if (vision === null) return Int32Array.from(ids);
  const placeholders = { image: vision.imageTokenId, video: vision.videoTokenId };
  for (const one of ['image', 'video'] as const) {
    const found = ids.filter((id) => id === placeholders[one]).length;
    const wanted = one === kind ? tokenCounts.length : 0;
    if (found !== wanted) throw misplaced(one, found, wanted);
  }
  return expandPlaceholders(ids, placeholders[kind], tokenCounts);
}

/**
 * Computes the model's positions, i32 `[3, T]`, of expanded token ids.
 *
 * @param secondsPerGrid one for each grid of a video, null for images
 */
export type PositionRule = (
  tokenIds: Int32Array,
  grids: readonly Grid[],
  secondsPerGrid: readonly number[] | null,
) => Tensor<'i32'>;

/** Input of a model: token ids with placeholders expanded, and the images or videos. */
export function promptWith(
  tokenIds: Int32Array,
  kind: Media['kind'],
  read: readonly Pick<ReadMedia, 'pixelValues' | 'grid' | 'secondsPerGrid'>[],
  positionsOf: PositionRule,
): PromptInput & { readonly pixelValues: PatchLevels | null } {
  const grids = read.map(({ grid }) => grid);
  const seconds = kind === 'video' ? read.map((each) => each.secondsPerGrid ?? 1) : null;
  return {
    tokenIds: tensorOf('i32', [tokenIds.length], tokenIds),
    positions: positionsOf(tokenIds, grids, seconds),
    pixelValues: stackLevels(read.map(({ pixelValues }) => pixelValues)),
    grids,
  };
}

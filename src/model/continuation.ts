/**
 * A sequence of several turns as the prompt of its next one.
 *
 * Between two turns of the policy an environment may show pictures, so a response has rotary positions of its own. A
 * picture's positions depend on where it begins and on nothing before that (Qwen2-VL, arXiv:2409.12191, section 2.1), so
 * they are computed over the response alone and moved after the prompt. The test in `test/golden/several-turns` holds
 * them against transformers' positions of the whole sequence.
 */
import { stackPixels, type Grid, type PixelValues } from '../tensor/patch-levels.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import type { ModelConfig } from './model-config.ts';
import { packSequences, type PromptInput, type ResponseMedia, type SequenceInput } from './pack.ts';
import { promptPositions } from './position-ids.ts';

/** Pictures in the order of their placeholders. */
export interface ShownPictures {
  readonly pixelValues: PixelValues;
  readonly grids: readonly Grid[];
}

/**
 * The pictures of a response with the positions of all its tokens.
 *
 * @param response i32 `[T]`, one placeholder for each merged patch
 * @throws DATA_INVALID when placeholders and grids do not fit each other
 */
export function responseMedia(
  config: ModelConfig,
  response: Tensor<'i32'>,
  { pixelValues, grids }: ShownPictures,
): ResponseMedia {
  const media = { grids, secondsPerGrid: null };
  return { positions: promptPositions(config, response.data, media), pixelValues, grids };
}

/** A prompt and its response as one prompt: tokens, positions and pictures end to end. */
export function asPrompt(sequence: SequenceInput): PromptInput {
  const { tokenIds, positions, pixelValues, grids } = packSequences([sequence]);
  return {
    tokenIds: tensorOf('i32', [tokenIds.length], tokenIds),
    positions,
    pixelValues: stackPixels(pixelValues),
    grids,
  };
}

/** The prompts and responses that a plan counts with: real ones of the data set, or made of lengths alone. */
import type { ModelConfig } from '../model/model-config.ts';
import type { Grid } from '../model/batch.ts';
import { architectureOf } from '../model/families.ts';
import type { PromptInput, SequenceInput } from '../model/pack.ts';
import { CxmindError } from '../errors.ts';
import { LEVELS, type PatchLevels } from '../tensor/patch-levels.ts';
import { tensorOf, zeros } from '../tensor/tensor.ts';

/** Lengths of what a run trains on. */
export interface Lengths {
  /** Tokens of a prompt, its pictures among them. */
  readonly promptTokens: number;
  /** Tokens of a response. */
  readonly responseTokens: number;
  /** Pictures of a prompt. */
  readonly pictures: number;
  /** Width and height of a picture as the model sees it, pixels. */
  readonly picture: readonly [width: number, height: number];
}

/** Patches of a picture in the model's grid; sides are rounded to whole tokens. */
function gridOf(
  { vision }: Pick<ModelConfig, 'vision'>,
  [width, height]: Lengths['picture'],
): Grid {
  const { patchSize, mergeSize } = vision!;
  const token = patchSize * mergeSize;
  const side = (pixels: number): number => Math.max(1, Math.round(pixels / token)) * mergeSize;
  return [1, side(height), side(width)];
}

/**
 * Makes prompts of given lengths. No two are the same prompt, and no two pictures the same picture.
 *
 * @throws CONFIG_INVALID where the pictures alone are longer than the prompt
 */
export function madePrompts(config: ModelConfig, lengths: Lengths, count: number): PromptInput[] {
  const { vision, tokens } = config;
  const grids = Array.from({ length: vision === null ? 0 : lengths.pictures }, () =>
    gridOf(config, lengths.picture),
  );
  const ids = grids.flatMap(([, height, width]) => [
    tokens!.visionStart,
    ...Array<number>((height * width) / vision!.mergeSize ** 2).fill(tokens!.imagePad),
    tokens!.visionEnd,
  ]);
  if (ids.length >= lengths.promptTokens) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `the pictures of a prompt take ${ids.length} tokens of ${lengths.promptTokens}; raise data.max_prompt_length ` +
        'or --prompt-tokens, or lower --picture',
    );
  }
  ids.push(...Array<number>(lengths.promptTokens - ids.length).fill(0));
  const tokenIds = tensorOf('i32', [ids.length], ids);
  const positions = architectureOf(config).positions(config, ids, { grids, secondsPerGrid: null });
  return Array.from({ length: count }, (_, i) => ({
    tokenIds: { ...tokenIds },
    positions,
    pixelValues: grids.length === 0 ? null : madePixels(config, grids, i),
    grids,
  }));
}

/** Levels of blank colour pictures; the first one tells prompts apart, since equal pictures are computed once. */
function madePixels({ vision }: ModelConfig, grids: readonly Grid[], nth: number): PatchLevels {
  const { patchSize, inChannels, temporalPatchSize } = vision!;
  const patches = grids.reduce((sum, [t, h, w]) => sum + t * h * w, 0);
  const levels = zeros('u8', [patches, inChannels, 1, patchSize ** 2]);
  new DataView(levels.data.buffer).setUint32(levels.data.byteOffset, nth);
  return { levels, values: zeros('f32', [inChannels, LEVELS]), frames: temporalPatchSize };
}

/** Responses of given lengths to prompts, `n` to each, side by side as a rollout leaves them. */
export function madeResponses(
  prompts: readonly PromptInput[],
  n: number,
  tokens: number,
): SequenceInput[] {
  const response = zeros('i32', [tokens]);
  return prompts.flatMap((prompt) => Array.from({ length: n }, () => ({ prompt, response })));
}

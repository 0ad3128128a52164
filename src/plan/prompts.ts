/** The prompts and responses that a plan counts with: real ones of the data set, or made of lengths alone. */
import type { ModelConfig } from '../model/model-config.ts';
import { promptPositions } from '../model/position-ids.ts';
import type { PromptInput, SequenceInput } from '../model/pack.ts';
import { CxmindError } from '../errors.ts';
import { LEVELS, type Grid, type PatchLevels } from '../tensor/patch-levels.ts';
import { zeros } from '../tensor/tensor.ts';

/** Lengths of what a run trains on. */
export interface Lengths {
  /** Tokens of a prompt, its pictures among them. */
  readonly promptTokens: number;
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
 * @throws CONFIG_INVALID where the pictures alone are longer than the prompt, or the model sees none
 */
export function madePrompts(config: ModelConfig, lengths: Lengths, count: number): PromptInput[] {
  const { vision, tokens } = config;
  if (vision === null && lengths.pictures > 0) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `--pictures: ${config.architecture} reads text alone; leave --pictures out, or take a model with a vision tower`,
    );
  }
  const grids = Array.from({ length: lengths.pictures }, () => gridOf(config, lengths.picture));
  const pads = grids.map(([, height, width]) => (height * width) / vision!.mergeSize ** 2);
  const pictureTokens = pads.reduce((sum, count) => sum + count + 2, 0);
  if (pictureTokens >= lengths.promptTokens) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `the pictures of a prompt take ${pictureTokens} tokens of ${lengths.promptTokens}; raise data.max_prompt_length ` +
        'or --prompt-tokens, or lower --picture',
    );
  }
  const tokenIds = zeros('i32', [lengths.promptTokens]);
  let start = 0;
  for (const count of pads) {
    tokenIds.data[start] = tokens!.visionStart;
    tokenIds.data.fill(tokens!.imagePad, start + 1, start + 1 + count);
    tokenIds.data[start + 1 + count] = tokens!.visionEnd;
    start += count + 2;
  }
  const ids = [...tokenIds.data];
  const positions = promptPositions(config, ids, { grids, secondsPerGrid: null });
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

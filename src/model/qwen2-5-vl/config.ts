import * as t from 'io-ts';

import { positive } from '../../check/scalars.ts';
import type { ConfigFormat } from '../architecture.ts';
import { index, layers, size, type Checks } from '../config-fields.ts';
import type { DecoderTraits } from '../decoder/config.ts';
import type { VisionConfig } from '../model-config.ts';
import { checkVisionRope, VisionRope, visionLanguageFormat } from '../vision/config.ts';

/** The decoder of Qwen2 and Qwen2.5. */
export const qwen2Traits: DecoderTraits = {
  qkvBias: true,
  qkNorm: false,
  headDim: null,
  isHeadDimFixed: false,
  experts: null,
  rmsNormEps: 1e-6,
  ropeTheta: 1e4,
  mrope: null,
};

const visionTraits: DecoderTraits = {
  ...qwen2Traits,
  isHeadDimFixed: true,
  rmsNormEps: 1e-5,
  ropeTheta: 1e6,
  mrope: 'sections',
};

const Vision = t.intersection([
  t.type({
    depth: layers,
    hidden_size: size,
    num_heads: size,
    intermediate_size: size,
    out_hidden_size: size,
    fullatt_block_indexes: t.array(index),
  }),
  t.partial({
    hidden_act: t.string,
    in_channels: size,
    patch_size: size,
    temporal_patch_size: size,
    spatial_merge_size: size,
    window_size: size,
    tokens_per_second: positive,
    rope_parameters: VisionRope,
  }),
]);
type Vision = t.TypeOf<typeof Vision>;

function visionConfig(vision: Vision, checks: Checks): VisionConfig {
  const patchSize = vision.patch_size ?? 14;
  const mergeSize = vision.spatial_merge_size ?? 2;
  const windowSize = vision.window_size ?? 112;
  checks.that(
    (vision.hidden_act ?? 'silu') === 'silu',
    `vision_config.hidden_act "${vision.hidden_act}" is not supported, only "silu"`,
  );
  checkVisionRope(vision.rope_parameters, checks);
  checks.that(
    windowSize >= patchSize * mergeSize,
    `vision_config.window_size ${windowSize} is smaller than a merged patch, ${patchSize * mergeSize}`,
  );
  return {
    depth: vision.depth,
    hiddenSize: vision.hidden_size,
    heads: vision.num_heads,
    intermediateSize: vision.intermediate_size,
    inChannels: vision.in_channels ?? 3,
    patchSize,
    temporalPatchSize: vision.temporal_patch_size ?? 2,
    mergeSize,
    windows: { size: windowSize, fullBlocks: vision.fullatt_block_indexes },
    activation: 'silu',
    positionGrid: null,
    deepstackBlocks: [],
    outHiddenSize: vision.out_hidden_size,
    tokensPerSecond: vision.tokens_per_second ?? 4,
  };
}

/** The `config.json` of Qwen2.5-VL, in the hub's flat form or transformers 5's nested one. */
export function visionFormat(architecture: string): ConfigFormat {
  return visionLanguageFormat({
    architecture,
    traits: visionTraits,
    section: Vision,
    decode: visionConfig,
  });
}

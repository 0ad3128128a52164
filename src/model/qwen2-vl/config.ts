import * as t from 'io-ts';
import { positive } from '../../check/scalars.ts';
import type { ConfigFormat } from '../architecture.ts';
import { layers, size, type Checks } from '../config-fields.ts';
import type { VisionConfig } from '../model-config.ts';
import { checkVisionRope, VisionRope, visionLanguageFormat } from '../vision/config.ts';

const Vision = t.intersection([
  t.type({ hidden_size: size }),
  t.partial({
    depth: layers,
    embed_dim: size,
    num_heads: size,
    mlp_ratio: positive,
    hidden_act: t.string,
    in_channels: size,
    patch_size: size,
    temporal_patch_size: size,
    spatial_merge_size: size,
    rope_parameters: VisionRope,
  }),
]);

/** The tower's width is `embed_dim`; `hidden_size` is the decoder's. */
function visionConfig(vision: t.TypeOf<typeof Vision>, checks: Checks): VisionConfig {
  const hiddenSize = vision.embed_dim ?? 1280;
  const intermediateSize = hiddenSize * (vision.mlp_ratio ?? 4);
  checks.that(
    Number.isInteger(intermediateSize),
    `vision_config.mlp_ratio ${vision.mlp_ratio} x embed_dim ${hiddenSize} is not a whole number`,
  );
  checks.that(
    (vision.hidden_act ?? 'quick_gelu') === 'quick_gelu',
    `vision_config.hidden_act "${vision.hidden_act}" is not supported, only "quick_gelu"`,
  );
  checkVisionRope(vision.rope_parameters, checks);
  return {
    depth: vision.depth ?? 32,
    hiddenSize,
    heads: vision.num_heads ?? 16,
    intermediateSize,
    inChannels: vision.in_channels ?? 3,
    patchSize: vision.patch_size ?? 14,
    temporalPatchSize: vision.temporal_patch_size ?? 2,
    mergeSize: vision.spatial_merge_size ?? 2,
    windows: null,
    activation: 'quickGelu',
    positionGrid: null,
    deepstackBlocks: [],
    outHiddenSize: vision.hidden_size,
    tokensPerSecond: null,
  };
}

/** The `config.json` of Qwen2-VL, in the hub's flat form or transformers 5's nested one. */
export function format(architecture: string): ConfigFormat {
  return visionLanguageFormat({
    architecture,
    traits: {
      qkvBias: true,
      qkNorm: false,
      headDim: null,
      isHeadDimFixed: true,
      experts: null,
      rmsNormEps: 1e-5,
      ropeTheta: 1e6,
      mrope: 'sections',
    },
    section: Vision,
    decode: visionConfig,
  });
}

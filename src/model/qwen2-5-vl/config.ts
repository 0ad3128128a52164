import * as t from 'io-ts';

import { decodeJson } from '../../check/json.ts';
import { positive } from '../../check/scalars.ts';
import type { ConfigFormat } from '../architecture.ts';
import { Checks, index, layers, nullable, propsOf, size, under } from '../config-fields.ts';
import { decodeText, textPaths, type DecoderTraits } from '../decoder/config.ts';
import { inBothLayouts } from '../decoder/config-layouts.ts';
import type { VisionConfig } from '../model-config.ts';

/** The decoder of Qwen2 and Qwen2.5. */
export const qwen2Traits: DecoderTraits = {
  qkvBias: true,
  qkNorm: false,
  headDim: null,
  isHeadDimFixed: false,
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
    rope_parameters: nullable(t.partial({ rope_theta: positive, rope_type: t.string })),
  }),
]);
type Vision = t.TypeOf<typeof Vision>;

const VisionLanguage = t.intersection([
  t.type({ vision_config: Vision, image_token_id: index, video_token_id: index }),
  t.partial({ vision_start_token_id: index, vision_end_token_id: index }),
]);

function visionConfig(vision: Vision, hiddenSize: number, checks: Checks): VisionConfig {
  const patchSize = vision.patch_size ?? 14;
  const mergeSize = vision.spatial_merge_size ?? 2;
  const windowSize = vision.window_size ?? 112;
  checks.that(
    vision.hidden_size % (4 * vision.num_heads) === 0,
    `vision_config.hidden_size ${vision.hidden_size} is not a multiple of 4 x num_heads ${vision.num_heads}`,
  );
  checks.that(
    (vision.hidden_act ?? 'silu') === 'silu',
    `vision_config.hidden_act "${vision.hidden_act}" is not supported, only "silu"`,
  );
  const { rope_theta: theta = 1e4, rope_type: type = 'axial' } = vision.rope_parameters ?? {};
  checks.that(
    theta === 1e4 && ['axial', 'default'].includes(type),
    `vision_config.rope_parameters of type "${type}" and theta ${theta} are not supported, only "axial" and 10000`,
  );
  checks.that(
    vision.out_hidden_size === hiddenSize,
    `vision_config.out_hidden_size ${vision.out_hidden_size} differs from the decoder's hidden_size ${hiddenSize}`,
  );
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
    windowSize,
    fullAttentionBlocks: vision.fullatt_block_indexes,
    outHiddenSize: vision.out_hidden_size,
    tokensPerSecond: vision.tokens_per_second ?? 4,
  };
}

/** The `config.json` of Qwen2.5-VL, in the hub's flat form or transformers 5's nested one. */
export function visionFormat(architecture: string): ConfigFormat {
  return {
    decode(value, file) {
      const checks = new Checks(file);
      const { text, torchDtype } = decodeText(value, file, visionTraits, checks);
      const outer = decodeJson(VisionLanguage, value, file);
      const vision = visionConfig(outer.vision_config, text.hiddenSize, checks);
      const tokens = {
        imagePad: outer.image_token_id,
        videoPad: outer.video_token_id,
        visionStart: outer.vision_start_token_id ?? 151652,
        visionEnd: outer.vision_end_token_id ?? 151653,
      };
      for (const [name, id] of Object.entries(tokens)) {
        checks.that(
          id < text.vocabSize,
          `${name} id ${id} is not below vocab_size ${text.vocabSize}`,
        );
      }
      checks.finish();
      return { architecture, text, vision, tokens, torchDtype };
    },
    readPaths: (isNested) => [
      ...textPaths(isNested),
      ...propsOf(VisionLanguage).filter((key) => key !== 'vision_config'),
      ...under('vision_config', propsOf(Vision)),
    ],
    inBothLayouts,
  };
}

import * as t from 'io-ts';
import { positive } from '../../check/scalars.ts';
import { layers, size, type Checks } from '../config-fields.ts';
import type { VisionConfig } from '../model-config.ts';
import { qwen2Decoder, Tower, towerConfig, visionLanguageFormat } from '../vision/config.ts';

const Vision = t.intersection([
  t.type({ hidden_size: size }),
  t.partial({
    depth: layers,
    embed_dim: size,
    num_heads: size,
    mlp_ratio: positive,
  }),
  Tower,
]);

/** The tower's width is `embed_dim`; `hidden_size` is the decoder's. */
function visionConfig(vision: t.TypeOf<typeof Vision>, checks: Checks): VisionConfig {
  const hiddenSize = vision.embed_dim ?? 1280;
  const intermediateSize = hiddenSize * (vision.mlp_ratio ?? 4);
  checks.that(
    Number.isInteger(intermediateSize),
    `vision_config.mlp_ratio ${vision.mlp_ratio} x embed_dim ${hiddenSize} is not a whole number`,
  );
  return {
    ...towerConfig(vision, { activation: 'quick_gelu', patchSize: 14 }, checks),
    depth: vision.depth ?? 32,
    hiddenSize,
    heads: vision.num_heads ?? 16,
    intermediateSize,
    outHiddenSize: vision.hidden_size,
  };
}

/** The `config.json` of Qwen2-VL, in the hub's flat form or transformers 5's nested one. */
export const format = visionLanguageFormat({
  traits: qwen2Decoder,
  section: Vision,
  decode: visionConfig,
});

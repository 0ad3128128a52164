import * as t from 'io-ts';
import { positive } from '../../check/scalars.ts';
import { index, layers, size, type Checks } from '../config-fields.ts';
import type { VisionConfig } from '../model-config.ts';
import { qwen2Decoder, Tower, towerConfig, visionLanguageFormat } from '../vision/config.ts';

const Vision = t.intersection([
  t.type({
    depth: layers,
    hidden_size: size,
    num_heads: size,
    intermediate_size: size,
    out_hidden_size: size,
    fullatt_block_indexes: t.array(index),
  }),
  t.partial({ window_size: size, tokens_per_second: positive }),
  Tower,
]);
type Vision = t.TypeOf<typeof Vision>;

function visionConfig(vision: Vision, checks: Checks): VisionConfig {
  const tower = towerConfig(vision, { activation: 'silu', patchSize: 14 }, checks);
  const windowSize = vision.window_size ?? 112;
  const merged = tower.patchSize * tower.mergeSize;
  checks.that(
    windowSize >= merged,
    `vision_config.window_size ${windowSize} is smaller than a merged patch, ${merged}`,
  );
  return {
    ...tower,
    depth: vision.depth,
    hiddenSize: vision.hidden_size,
    heads: vision.num_heads,
    intermediateSize: vision.intermediate_size,
    windows: { size: windowSize, fullBlocks: vision.fullatt_block_indexes },
    outHiddenSize: vision.out_hidden_size,
    tokensPerSecond: vision.tokens_per_second ?? 4,
  };
}

/** The `config.json` of Qwen2.5-VL, in the hub's flat form or transformers 5's nested one. */
export const format = visionLanguageFormat({
  traits: qwen2Decoder,
  section: Vision,
  decode: visionConfig,
});

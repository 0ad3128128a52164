import * as t from 'io-ts';
import type { ConfigFormat } from '../architecture.ts';
import { index, layers, size, type Checks } from '../config-fields.ts';
import type { ExpertTraits } from '../decoder/experts-config.ts';
import type { VisionConfig } from '../model-config.ts';
import { Tower, towerConfig, visionLanguageFormat } from '../vision/config.ts';

const Vision = t.intersection([
  t.partial({
    depth: layers,
    hidden_size: size,
    num_heads: size,
    intermediate_size: size,
    out_hidden_size: size,
    num_position_embeddings: size,
    deepstack_visual_indexes: t.array(index),
  }),
  Tower,
]);

function visionConfig(vision: t.TypeOf<typeof Vision>, checks: Checks): VisionConfig {
  const { depth = 27, num_position_embeddings: positions = 2304 } = vision;
  const { deepstack_visual_indexes: blocks = [8, 16, 24] } = vision;
  const tower = towerConfig(vision, { activation: 'gelu_pytorch_tanh', patchSize: 16 }, checks);
  checks.that(
    Number.isInteger(Math.sqrt(positions)),
    `vision_config.num_position_embeddings ${positions} is not the square of a whole number`,
  );
  checks.that(
    blocks.every((block, i) => block < depth && (i === 0 || block > blocks[i - 1]!)),
    `vision_config.deepstack_visual_indexes [${blocks.join(', ')}] are not ascending numbers below depth ${depth}`,
  );
  return {
    ...tower,
    depth,
    hiddenSize: vision.hidden_size ?? 1152,
    heads: vision.num_heads ?? 16,
    intermediateSize: vision.intermediate_size ?? 4304,
    positionGrid: Math.sqrt(positions),
    deepstackBlocks: blocks,
    outHiddenSize: vision.out_hidden_size ?? 3584,
  };
}

/** The `config.json` of Qwen3-VL. */
export function format(experts: ExpertTraits | null): ConfigFormat {
  return visionLanguageFormat({
    traits: { qkNorm: true, headDim: 128, experts, ropeTheta: 5e6, mrope: 'interleaved' },
    section: Vision,
    decode: visionConfig,
  });
}

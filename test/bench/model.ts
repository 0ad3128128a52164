import { Arena } from '../../src/model/weights/arena.ts';
import { layOut } from '../../src/model/weights/arena-layout.ts';
import { packSequences, type PromptInput } from '../../src/model/pack.ts';
import { decodeModelConfig } from '../../src/model/checkpoint/config-file.ts';
import type { ModelConfig } from '../../src/model/model-config.ts';
import { parameterGroups } from '../../src/model/parameters.ts';
import type { PackedBatch } from '../../src/model/batch.ts';
import { keyOf, Rng } from '../../src/rng.ts';
import { tensorOf, zeros } from '../../src/tensor/tensor.ts';

/** Sizes of a text decoder, under the names of its `config.json`. */
export interface BenchModel {
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly intermediate_size: number;
  readonly vocab_size: number;
}

/** The size class of the baselines: 3.9 M parameters. */
export const tiny: BenchModel = {
  hidden_size: 256,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  intermediate_size: 704,
  vocab_size: 2048,
};

/** The text decoder of the quickstart's model. */
export const demo: BenchModel = {
  hidden_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 384,
  vocab_size: 1088,
};

/** The config that both sides build their model from. */
export function configOf(model: BenchModel): Record<string, unknown> {
  return {
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    hidden_act: 'silu',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    tie_word_embeddings: false,
    use_sliding_window: false,
    ...model,
  };
}

/** A model with random weights. */
export function randomModel(model: BenchModel): { config: ModelConfig; arena: Arena } {
  const config = decodeModelConfig(configOf(model), 'bench');
  const arena = new Arena(layOut(parameterGroups(config)));
  const rng = new Rng(keyOf('bench', 0));
  for (const { name, shape } of arena.layout.entries) {
    const { data } = arena.tensor(name);
    if (shape.length === 1) data.fill(name.endsWith('.bias') ? 0 : 1);
    else for (let i = 0; i < data.length; i++) data[i] = 0.02 * rng.nextNormal();
  }
  return { config, arena };
}

/** `count` prompts of `length` random tokens. */
export function randomPrompts(model: BenchModel, count: number, length: number): PromptInput[] {
  const rng = new Rng(keyOf('bench', 1));
  return Array.from({ length: count }, () => {
    const tokenIds = zeros('i32', [length]);
    const positions = zeros('i32', [3, length]);
    for (let t = 0; t < length; t++) {
      tokenIds.data[t] = Math.floor(rng.nextUniform() * model.vocab_size);
      for (let axis = 0; axis < 3; axis++) positions.data[axis * length + t] = t;
    }
    return { tokenIds, positions, pixelValues: null, grids: [] };
  });
}

/** `count` sequences of `length` (at least 2) random tokens, every one scored but each sequence's first. */
export function randomBatch(model: BenchModel, count: number, length: number): PackedBatch {
  const prompts = randomPrompts(model, count, length);
  return packSequences(
    prompts.map(({ tokenIds }) => ({
      prompt: {
        tokenIds: tensorOf('i32', [1], tokenIds.data.slice(0, 1)),
        positions: zeros('i32', [3, 1]),
        pixelValues: null,
        grids: [],
      },
      response: tensorOf('i32', [length - 1], tokenIds.data.slice(1)),
    })),
  );
}

import { writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { writeDirectoryAtomically } from '../files.ts';
import { Arena } from '../model/weights/arena.ts';
import { layOut, type ArenaEntry } from '../model/weights/arena-layout.ts';
import { decodeModelConfig } from '../model/checkpoint/config-file.ts';
import { parameterGroups } from '../model/parameters.ts';
import { writeSafetensors } from '../model/checkpoint/safetensors.ts';
import { keyOf, Rng } from '../rng.ts';
import { trainBpe, type Bpe } from './bpe.ts';
import { controlIds, tokenizerFiles, tokenizerSize } from './tokenizer-files.ts';

/** Sizes of a small Qwen2.5-VL. */
export interface DemoModelSize {
  readonly hiddenSize: number;
  readonly layers: number;
  /** `hiddenSize / heads` must be a multiple of 16, so that rotary sections split as in the real model. */
  readonly heads: number;
  readonly kvHeads: number;
  readonly intermediateSize: number;
  readonly visionDepth: number;
  readonly visionHiddenSize: number;
  readonly visionHeads: number;
  readonly visionIntermediateSize: number;
  /** Side of the vision tower's attention windows, pixels. */
  readonly windowSize: number;
  /** BPE tokens wanted, the 256 bytes included. */
  readonly bpeSize: number;
  readonly tieWordEmbeddings: boolean;
}

/** Sizes of the default model, which learns the demo's pictures in minutes on two cores. */
export const demoModelSize: DemoModelSize = {
  hiddenSize: 128,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  intermediateSize: 384,
  visionDepth: 2,
  visionHiddenSize: 64,
  visionHeads: 4,
  visionIntermediateSize: 192,
  windowSize: 56,
  bpeSize: 1024,
  tieWordEmbeddings: false,
};

/** Options of a demo checkpoint. */
export interface DemoCheckpointOptions {
  readonly seed: number;
  readonly size?: DemoModelSize;
  /** Texts that the tokenizer is trained on. */
  readonly texts: Iterable<string>;
  readonly dtype?: 'float32' | 'bfloat16';
}

function configJson(size: DemoModelSize, bpe: Bpe, dtype: string): unknown {
  const ids = controlIds(bpe);
  const headDim = size.hiddenSize / size.heads;
  const section = headDim / 16;
  return {
    architectures: ['Qwen2_5_VLForConditionalGeneration'],
    attention_dropout: 0,
    bos_token_id: ids['<|endoftext|>'],
    eos_token_id: ids['<|im_end|>'],
    vision_start_token_id: ids['<|vision_start|>'],
    vision_end_token_id: ids['<|vision_end|>'],
    vision_token_id: ids['<|vision_pad|>'],
    image_token_id: ids['<|image_pad|>'],
    video_token_id: ids['<|video_pad|>'],
    hidden_act: 'silu',
    hidden_size: size.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: size.intermediateSize,
    max_position_embeddings: 8192,
    max_window_layers: size.layers,
    model_type: 'qwen2_5_vl',
    num_attention_heads: size.heads,
    num_hidden_layers: size.layers,
    num_key_value_heads: size.kvHeads,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    rope_scaling: { type: 'mrope', mrope_section: [2 * section, 3 * section, 3 * section] },
    sliding_window: 32768,
    tie_word_embeddings: size.tieWordEmbeddings,
    torch_dtype: dtype,
    use_cache: true,
    use_sliding_window: false,
    vision_config: {
      depth: size.visionDepth,
      hidden_act: 'silu',
      hidden_size: size.visionHiddenSize,
      intermediate_size: size.visionIntermediateSize,
      num_heads: size.visionHeads,
      in_chans: 3,
      out_hidden_size: size.hiddenSize,
      patch_size: 14,
      spatial_merge_size: 2,
      spatial_patch_size: 14,
      window_size: size.windowSize,
      fullatt_block_indexes: [size.visionDepth - 1],
      tokens_per_second: 2,
      temporal_patch_size: 2,
    },
    vocab_size: Math.ceil(tokenizerSize(bpe) / 64) * 64,
  };
}

function generationJson(bpe: Bpe): unknown {
  const ids = controlIds(bpe);
  return {
    bos_token_id: ids['<|endoftext|>'],
    pad_token_id: ids['<|endoftext|>'],
    eos_token_id: [ids['<|im_end|>'], ids['<|endoftext|>']],
    do_sample: true,
    temperature: 1,
    top_p: 1,
    top_k: 0,
  };
}

const preprocessorJson = {
  min_pixels: 56 * 56,
  max_pixels: 64 * 28 * 28,
  patch_size: 14,
  temporal_patch_size: 2,
  merge_size: 2,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
  image_processor_type: 'Qwen2VLImageProcessor',
  processor_class: 'Qwen2_5_VLProcessor',
};

/**
 * Standard deviation of a weight matrix's initial values: 1 / sqrt(inputs), so that activations keep their size.
 * Matrices that add to the residual stream start smaller by sqrt(2 · layers), as in GPT-2.
 */
function deviationOf({ name, shape, size }: ArenaEntry, { layers, visionDepth }: DemoModelSize) {
  const inputs = size / shape[0]!;
  const addsToStream = /(o_proj|down_proj|attn\.proj)\.weight$/.test(name);
  const depth = name.startsWith('visual.') ? visionDepth : layers;
  return 1 / Math.sqrt(inputs * (addsToStream ? 2 * depth : 1));
}

/** Fills an arena for training from scratch: normal matrices, zero biases, unit norms. */
function initialise(arena: Arena, size: DemoModelSize, seed: number): void {
  for (const entry of arena.layout.entries) {
    const { data } = arena.tensor(entry.name);
    if (entry.shape.length === 1) {
      data.fill(entry.name.endsWith('.bias') ? 0 : 1);
      continue;
    }
    const rng = new Rng(keyOf('demo-weights', seed, entry.name));
    const deviation = deviationOf(entry, size);
    for (let i = 0; i < data.length; i++) data[i] = deviation * rng.nextNormal();
  }
}

/**
 * Writes a small Qwen2.5-VL with random weights and a tokenizer of its own, as a Hugging Face directory that
 * transformers loads too. The directory appears whole or not at all. Equal options give equal bytes.
 *
 * @throws CHECKPOINT_INVALID if the sizes contradict each other
 */
export async function writeDemoCheckpoint(
  directory: string,
  { seed, size = demoModelSize, texts, dtype = 'float32' }: DemoCheckpointOptions,
): Promise<void> {
  const bpe = trainBpe(texts, size.bpeSize);
  const config = configJson(size, bpe, dtype);
  const model = decodeModelConfig(config, path.join(directory, 'config.json'));
  const arena = new Arena(layOut(parameterGroups(model)));
  initialise(arena, size, seed);
  const tensors = arena.layout.entries.map(({ name }) => ({
    name,
    tensor: arena.tensor(name),
    dtype: dtype === 'float32' ? ('f32' as const) : ('bf16' as const),
  }));
  const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  const files = {
    ...tokenizerFiles(bpe),
    'config.json': pretty(config),
    'generation_config.json': pretty(generationJson(bpe)),
    'preprocessor_config.json': pretty(preprocessorJson),
  };
  await writeDirectoryAtomically(directory, async (partial) => {
    for (const [name, content] of Object.entries(files)) {
      await writeFile(path.join(partial, name), content);
    }
    await writeSafetensors(path.join(partial, 'model.safetensors'), tensors);
  });
}

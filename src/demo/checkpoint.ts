import { writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { writeDirectoryAtomically } from '../files.ts';
import { Arena } from '../model/weights/arena.ts';
import { layOut, type ArenaEntry } from '../model/weights/arena-layout.ts';
import { decodeModelConfig } from '../model/checkpoint/config-file.ts';
import { inBothLayouts } from '../model/decoder/config-layouts.ts';
import { parameterGroups } from '../model/parameters.ts';
import { writeSafetensors } from '../model/checkpoint/safetensors.ts';
import { keyOf, Rng } from '../rng.ts';
import { trainBpe, type Bpe } from './bpe.ts';
import { familyFiles, type DemoModelSize } from './families.ts';
import type { DemoFamily } from './family.ts';
import { controlIds, tokenizerFiles } from './tokenizer-files.ts';

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

/** Family and sizes of a demo's model, and the texts of its tokenizer. */
export interface DemoCheckpointOptions {
  readonly seed: number;
  /** Family of the model; Qwen2.5-VL if absent. */
  readonly family?: DemoFamily;
  readonly size?: DemoModelSize;
  /** Texts that the tokenizer is trained on. */
  readonly texts: Iterable<string>;
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

/**
 * Standard deviation of a weight matrix's initial values: 1 / sqrt(inputs), so that activations keep their size.
 * Matrices that add to the residual stream start smaller by sqrt(2 · layers), as in GPT-2.
 */
function deviationOf({ name, shape, size }: ArenaEntry, { layers, visionDepth }: DemoModelSize) {
  // Experts that are one tensor are `[E, in, out]`.
  const inputs = /experts\.[^.]+$/.test(name) ? shape[1]! : size / shape[0]!;
  const addsToStream =
    /(o_proj|down_proj|attn\.proj|blocks\.\d+\.mlp\.(linear_)?fc2)(\.weight)?$/.test(name);
  const depth = /^(model\.)?visual\./.test(name) ? visionDepth : layers;
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
 * Writes a small model with random weights and a tokenizer of its own, as a Hugging Face directory that transformers
 * loads too. The directory appears whole or not at all. Equal options give equal bytes.
 *
 * @throws CHECKPOINT_INVALID if the sizes contradict each other
 */
export async function writeDemoCheckpoint(
  directory: string,
  { seed, family = 'qwen2.5-vl', size = demoModelSize, texts }: DemoCheckpointOptions,
): Promise<void> {
  const bpe = trainBpe(texts, size.bpeSize);
  const { config: configOf, preprocessor } = familyFiles[family];
  const own = configOf(size, bpe);
  const model = decodeModelConfig(own, path.join(directory, 'config.json'));
  const config = inBothLayouts(own, model);
  const arena = new Arena(layOut(parameterGroups(model)));
  initialise(arena, size, seed);
  const tensors = arena.layout.entries.map(({ name }) => ({
    name,
    tensor: arena.tensor(name),
  }));
  const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  const files = {
    ...tokenizerFiles(bpe),
    'config.json': pretty(config),
    'generation_config.json': pretty(generationJson(bpe)),
    ...(preprocessor && { 'preprocessor_config.json': pretty(preprocessor) }),
  };
  await writeDirectoryAtomically(directory, async (partial) => {
    for (const [name, content] of Object.entries(files)) {
      await writeFile(path.join(partial, name), content);
    }
    await writeSafetensors(path.join(partial, 'model.safetensors'), tensors);
  });
}

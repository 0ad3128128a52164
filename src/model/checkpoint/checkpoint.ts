/** Checkpoints of policies: Hugging Face directories, read into an arena and written with the same files and names. */
import type { Adapter } from '../adapters/adapter.ts';
import { mergedTensor } from '../adapters/merge.ts';
import { inBothLayouts } from '../decoder/config-layouts.ts';
import { HEAD } from '../decoder/weight-names.ts';
import { withTies, type ModelConfig } from '../model-config.ts';
import type { Arena } from '../weights/arena.ts';
import type { JsonObject } from './companions.ts';
import { laidOver, readModelConfig, type ConfigOverrides } from './config-file.ts';
import {
  likeStored,
  openWeights,
  placesOf,
  readWeights,
  writeModel,
  type ReadOptions,
} from './stored-weights.ts';
import { withStoredTies } from './ties.ts';

/** A model read from a Hugging Face directory. */
export interface LoadedCheckpoint {
  readonly directory: string;
  readonly config: ModelConfig;
  readonly arena: Arena;
  /** Notes for the user, such as tensors that were ignored. */
  readonly notes: readonly string[];
}

/** Options of reading a checkpoint. */
export interface LoadOptions extends ReadOptions {
  /** Keys laid over `config.json`. */
  readonly overrides?: ConfigOverrides;
}

/** The parts of a checkpoint to save. */
export interface SaveOptions {
  /** The directory the arena was loaded from. */
  readonly from: string;
  readonly arena: Arena;
  /** Merged into the weights that it adapts. */
  readonly adapter?: Adapter | null;
  /** The dtype to store weights in; the dtype they were loaded from when left out. */
  readonly dtype?: 'f32' | 'f16' | 'bf16';
  /** Keys laid over `config.json`, the same as when it was loaded. */
  readonly overrides?: ConfigOverrides;
}

/**
 * Reads a Hugging Face directory: `config.json` and the weights, single or sharded, f32, f16 or bf16,
 * into an f32 arena.
 *
 * Everything is checked before the arena is allocated.
 *
 * @throws CHECKPOINT_INVALID naming file, field and tensors
 */
export async function loadCheckpoint(
  directory: string,
  { overrides = {}, ...options }: LoadOptions = {},
): Promise<LoadedCheckpoint> {
  const described = await readModelConfig(directory, overrides);
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, directory);
  const { config, notes: ties } = await withStoredTies(directory, described, readers);
  const model = { config, head: 'policy' } as const;
  const { arena, notes } = await readWeights(directory, model, readers, options);
  return { directory, config, arena, notes: [...ties, ...notes] };
}

/**
 * Writes an arena as a Hugging Face directory like the one it was loaded from: same configuration,
 * tokenizer and preprocessor files, same weight files, tensor names and dtypes.
 *
 * A tensor that did not change has the same bytes as before. Atomic, as `writeDirectoryAtomically`;
 * `target` may be `from`.
 *
 * @throws CHECKPOINT_INVALID when `from` does not fit the arena any more
 */
export async function saveCheckpoint(
  target: string,
  { from, arena, adapter = null, dtype, overrides = {} }: SaveOptions,
): Promise<void> {
  const described = await readModelConfig(from, overrides);
  const config = withTies(described, !arena.has(HEAD));
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, from);
  const { places } = placesOf(from, config, arena.layout, readers);
  const merged = (name: string) => mergedTensor(name, arena, adapter);
  await writeModel(target, from, likeStored(readers, places, merged, dtype), (file) =>
    inBothLayouts(cast(laidOver(file, overrides), dtype), config),
  );
}

const torchNames = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** A config that names the dtype in which the weights are stored. */
function cast(config: JsonObject, dtype: SaveOptions['dtype']): JsonObject {
  if (dtype === undefined) return config;
  const key = 'dtype' in config ? 'dtype' : 'torch_dtype';
  return { ...config, [key]: torchNames[dtype] };
}

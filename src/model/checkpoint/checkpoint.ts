import * as path from 'node:path';

import * as t from 'io-ts';

import { CxmindError } from '../../errors.ts';
import { isFile, writeDirectoryAtomically } from '../../files.ts';
import { bytesPerElement } from '../../tensor/dtype.ts';
import type { MakeShared } from '../../tensor/memory.ts';
import type { Adapter } from '../adapters/adapter.ts';
import { Arena } from '../weights/arena.ts';
import { dividedInto, layOut, type ArenaEntry, type ArenaLayout } from '../weights/arena-layout.ts';
import { copyCompanions, INDEX, indexOf, type JsonObject } from './companions.ts';
import { architectureOf } from '../families.ts';
import { readJson } from '../../check/json.ts';
import { mergedTensor } from '../adapters/merge.ts';
import { withTies, type ModelConfig } from '../model-config.ts';
import { parameterGroups, visionLength } from '../parameters.ts';
import { readModelConfig } from './config-file.ts';
import { laidOver, type ConfigOverrides } from './config-overrides.ts';
import {
  SafetensorsReader,
  writeSafetensors,
  type StoredTensor,
  type TensorToStore,
} from './safetensors.ts';
import { hasOwnHead } from './stored-head.ts';

/** A model read from a Hugging Face directory. */
export interface LoadedCheckpoint {
  readonly directory: string;
  readonly config: ModelConfig;
  readonly arena: Arena;
  /** What its user should hear of it. */
  readonly notes: readonly string[];
}

/** How the arena of a checkpoint is made. */
interface ArenaOptions {
  /** Equal parts that what is trained of it has to divide into; 1 when left out. */
  readonly parts?: number;
  /** Where it lies, by its size; a block of its own when left out. */
  readonly memory?: MakeShared;
}

/** How a checkpoint is read. */
export interface LoadOptions extends ArenaOptions {
  /** That the vision tower, with which the arena begins, is not trained. */
  readonly freezeVisionTower?: boolean;
  /** Keys laid over `config.json`. */
  readonly overrides?: ConfigOverrides;
  /** Ends the reading with its reason when it aborts. */
  readonly signal?: AbortSignal;
}

/** What a saved checkpoint is made of. */
export interface SaveOptions {
  /** The directory the arena was loaded from. */
  readonly from: string;
  readonly arena: Arena;
  /** Merged into the weights that it adapts. */
  readonly adapter?: Adapter | null;
  /** What the weights are stored as; as they came when left out. */
  readonly dtype?: 'f32' | 'f16' | 'bf16';
  /** Keys laid over `config.json`, as they were when it was loaded. */
  readonly overrides?: ConfigOverrides;
}

const ShardIndex = t.type({ weight_map: t.record(t.string, t.string) });

/** Names of a checkpoint's weight files: `model.safetensors`, or the shards its index names. */
async function weightFiles(directory: string): Promise<string[]> {
  if (await isFile(path.join(directory, 'model.safetensors'))) return ['model.safetensors'];
  const index = path.join(directory, INDEX);
  if (!(await isFile(index))) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${directory}: neither model.safetensors nor ${INDEX} is there`,
      { detail: { directory } },
    );
  }
  const { weight_map: map } = await readJson(ShardIndex, index);
  const names = [...new Set(Object.values(map))].sort();
  const stray = names.find((name) => path.basename(name) !== name);
  if (stray !== undefined) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${index}: weight_map names a file elsewhere: ${stray}`,
      {
        detail: { file: index },
      },
    );
  }
  return names;
}

function listed(what: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const shown = items.slice(0, 20).join(', ');
  const rest = items.length > 20 ? `, and ${items.length - 20} more` : '';
  return [`${what}: ${shown}${rest}`];
}

/** How a model's layout and what is stored may differ, by names of parameters and of stored tensors. */
export interface Leniency {
  /** Parameters that need not be stored. */
  readonly optional: readonly string[];
  /** Stored tensors that are not read. */
  readonly unread: readonly string[];
}

/** Where what is stored belongs. */
export interface Places {
  readonly places: ReadonlyMap<StoredTensor, ArenaEntry>;
  /** What there is to say of tensors without a place, which are left alone. */
  readonly notes: readonly string[];
}

/**
 * Finds each stored tensor's place in the layout. Tensors that the architecture does not have, as buffers that other
 * programs store, are not read.
 *
 * @throws CHECKPOINT_INVALID naming every missing tensor, wrong shape and tensor that is stored twice at once
 */
export function placesOf(
  directory: string,
  config: ModelConfig,
  layout: ArenaLayout,
  files: readonly SafetensorsReader[],
  { optional, unread }: Leniency = { optional: [], unread: [] },
): Places {
  const { embedding, head, ofStored } = architectureOf(config).weights;
  const expected = new Map(layout.entries.map((entry) => [entry.name, entry]));
  const missing = new Set(expected.keys().filter((name) => !optional.includes(name)));
  const found = new Map<StoredTensor, ArenaEntry>();
  const taken = new Set<ArenaEntry>();
  const misshapen: string[] = [];
  const extra: string[] = [];
  const names = files.flatMap(({ header }) => header.tensors.map(({ name }) => name));
  const places = new Set(
    names.filter((name) => name !== head).map((name) => ofStored(name, config)),
  );
  // A tied head is read where the embedding is not stored, and else is its copy.
  const skipped = [
    ...unread,
    ...(config.text.tieWordEmbeddings && places.has(embedding) ? [head] : []),
  ];
  for (const { header } of files) {
    for (const stored of header.tensors) {
      if (skipped.includes(stored.name)) continue;
      const where = `${stored.name} (${path.basename(header.file)})`;
      const entry = expected.get(ofStored(stored.name, config));
      if (entry === undefined) {
        extra.push(where);
        continue;
      }
      missing.delete(entry.name);
      if (taken.has(entry)) {
        misshapen.push(`${where} is stored twice`);
      } else if (!['f32', 'f16', 'bf16'].includes(stored.dtype)) {
        misshapen.push(`${where} has dtype ${stored.dtype}, not f32, f16 or bf16`);
      } else if (stored.shape.join() !== entry.shape.join()) {
        misshapen.push(`${where} is [${stored.shape.join(', ')}], not [${entry.shape.join(', ')}]`);
      } else {
        found.set(stored, entry);
      }
      taken.add(entry);
    }
  }
  const issues = [
    ...listed('missing tensors', [...missing]),
    ...listed('wrong tensors', misshapen),
  ];
  const ignored = listed('tensors that the architecture does not have', extra);
  if (issues.length > 0) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${directory}: the weights do not fit config.json (${config.architecture}): ${[...issues, ...ignored].join('; ')}`,
      { detail: { directory, missing: [...missing], wrong: misshapen, extra } },
    );
  }
  return { places: found, notes: ignored.map((note) => `${directory}: ignored are ${note}`) };
}

/** Opens a checkpoint's weight files, to be closed with the stack. */
export async function openWeights(
  stack: AsyncDisposableStack,
  directory: string,
): Promise<SafetensorsReader[]> {
  const readers: SafetensorsReader[] = [];
  for (const name of await weightFiles(directory)) {
    readers.push(stack.use(await SafetensorsReader.open(path.join(directory, name))));
  }
  return readers;
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
  { parts = 1, memory, freezeVisionTower = false, overrides = {}, signal }: LoadOptions = {},
): Promise<LoadedCheckpoint> {
  const described = await readModelConfig(directory, overrides);
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, directory);
  const { config, notes: ties } = await asStored(directory, described, readers);
  const start = freezeVisionTower ? visionLength(config) : 0;
  const layout = dividedInto(layOut(parameterGroups(config)), parts, start);
  const { places, notes } = placesOf(directory, config, layout, readers);
  const arena = new Arena(layout, memory?.(layout.length * bytesPerElement('f32')));
  await readInto(arena, places, readers, signal);
  return { directory, config, arena, notes: [...ties, ...notes] };
}

/** What the config says of ties, corrected by what is stored: two that differ are not one, as in transformers 5. */
async function asStored(
  directory: string,
  config: ModelConfig,
  readers: readonly SafetensorsReader[],
): Promise<Pick<LoadedCheckpoint, 'config' | 'notes'>> {
  if (!config.text.tieWordEmbeddings || !(await hasOwnHead(readers, config))) {
    return { config, notes: [] };
  }
  const { head } = architectureOf(config).weights;
  const note =
    `${directory}: tie_word_embeddings is set, but ${head} and the embedding are stored and differ; ` +
    'both are kept, untied';
  return { config: withTies(config, false), notes: [note] };
}

/** Reads every stored tensor that has a place into the arena, unless `signal` aborts. */
export async function readInto(
  arena: Arena,
  places: ReadonlyMap<StoredTensor, ArenaEntry>,
  readers: readonly SafetensorsReader[],
  signal?: AbortSignal,
): Promise<void> {
  for (const reader of readers) {
    for (const stored of reader.header.tensors) {
      signal?.throwIfAborted();
      const place = places.get(stored);
      if (place !== undefined) await reader.readF32(stored, arena.tensor(place.name));
    }
  }
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
  const architecture = architectureOf(described);
  const config = withTies(described, !arena.has(architecture.weights.head));
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, from);
  const { places } = placesOf(from, config, arena.layout, readers);
  const files = readers.map(({ header }) => ({
    name: path.basename(header.file),
    metadata: header.metadata,
    tensors: header.tensors.flatMap((stored) => {
      const place = places.get(stored);
      if (place === undefined) return [];
      const tensor = mergedTensor(place.name, arena, adapter);
      return [{ name: stored.name, tensor, dtype: dtype ?? stored.dtype }];
    }),
  }));
  await writeModel(target, from, files, (file) =>
    architecture.config.inBothLayouts(cast(laidOver(file, overrides), dtype), config),
  );
}

/** A file of weights to write. */
export interface WeightFile {
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly TensorToStore[];
}

/** Writes a Hugging Face directory of weights, and of what stands beside them in another directory. Atomic. */
export async function writeModel(
  target: string,
  from: string,
  files: readonly WeightFile[],
  configOf: (file: JsonObject) => JsonObject,
): Promise<void> {
  const places = files.flatMap(({ name: file, tensors }) =>
    tensors.map(({ name }) => [name, file] as const),
  );
  await writeDirectoryAtomically(target, async (directory) => {
    await copyCompanions(from, directory, { 'config.json': configOf, ...indexOf(places) });
    for (const { name, tensors, metadata } of files) {
      if (tensors.length > 0) await writeSafetensors(path.join(directory, name), tensors, metadata);
    }
  });
}

const torchNames = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** A config that says which type the weights are stored in. */
function cast(config: JsonObject, dtype: SaveOptions['dtype']): JsonObject {
  if (dtype === undefined) return config;
  const key = 'dtype' in config ? 'dtype' : 'torch_dtype';
  return { ...config, [key]: torchNames[dtype] };
}

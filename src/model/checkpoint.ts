import { copyFile, readdir, stat, writeFile } from 'node:fs/promises';
import * as path from 'node:path';

import * as t from 'io-ts';

import { CxmindError } from '../errors.ts';
import { writeDirectoryAtomically } from '../files.ts';
import type { Adapter } from './adapter.ts';
import { Arena, dividedInto, layOut, type ArenaEntry, type ArenaLayout } from './arena.ts';
import { readJson } from './json-file.ts';
import { mergedTensor } from './merge.ts';
import { readModelConfig, type ModelConfig } from './qwen2-5-vl/config.ts';
import { laidOver, type ConfigOverrides } from './qwen2-5-vl/config-overrides.ts';
import { parameterGroups, parameterName, visionLength } from './qwen2-5-vl/weight-names.ts';
import { SafetensorsReader, writeSafetensors, type StoredTensor } from './safetensors.ts';

/** A model read from a Hugging Face directory. */
export interface LoadedCheckpoint {
  readonly directory: string;
  readonly config: ModelConfig;
  readonly arena: Arena;
}

/** How the arena of a checkpoint is made. */
export interface ArenaOptions {
  /** Equal parts that what is trained of it has to divide into; 1 when left out. */
  readonly parts?: number;
  /** Where it lies, by its size; a block of its own when left out. */
  readonly memory?: (sizeBytes: number) => SharedArrayBuffer;
}

/** How a checkpoint is read. */
export interface LoadOptions extends ArenaOptions {
  /** That the vision tower, with which the arena begins, is not trained. */
  readonly freezeVisionTower?: boolean;
  /** Keys laid over `config.json`. */
  readonly overrides?: ConfigOverrides;
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

const JsonObject = t.record(t.string, t.unknown);
const ShardIndex = t.type({ weight_map: t.record(t.string, t.string) });

async function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Names of a checkpoint's weight files: `model.safetensors`, or the shards its index names. */
async function weightFiles(directory: string): Promise<string[]> {
  if (await isFile(path.join(directory, 'model.safetensors'))) return ['model.safetensors'];
  const index = path.join(directory, 'model.safetensors.index.json');
  if (!(await isFile(index))) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${directory}: neither model.safetensors nor model.safetensors.index.json is there`,
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

/**
 * Finds each stored tensor's place in the layout.
 *
 * @throws CHECKPOINT_INVALID naming every missing tensor, wrong shape and tensor without a place at once
 */
export function placesOf(
  directory: string,
  config: ModelConfig,
  layout: ArenaLayout,
  files: readonly SafetensorsReader[],
  { optional, unread }: Leniency = { optional: [], unread: [] },
): Map<StoredTensor, ArenaEntry> {
  const expected = new Map(layout.entries.map((entry) => [entry.name, entry]));
  const missing = new Set(expected.keys().filter((name) => !optional.includes(name)));
  const found = new Map<StoredTensor, ArenaEntry>();
  const misshapen: string[] = [];
  const extra: string[] = [];
  for (const { header } of files) {
    for (const stored of header.tensors) {
      if (unread.includes(stored.name)) continue;
      const where = `${stored.name} (${path.basename(header.file)})`;
      const entry = expected.get(parameterName(stored.name, config));
      if (entry === undefined) {
        extra.push(where);
        continue;
      }
      missing.delete(entry.name);
      if (!['f32', 'f16', 'bf16'].includes(stored.dtype)) {
        misshapen.push(`${where} has dtype ${stored.dtype}, not f32, f16 or bf16`);
      } else if (stored.shape.join() !== entry.shape.join()) {
        misshapen.push(`${where} is [${stored.shape.join(', ')}], not [${entry.shape.join(', ')}]`);
      } else {
        found.set(stored, entry);
      }
    }
  }
  const issues = [
    ...listed('missing tensors', [...missing]),
    ...listed('wrong tensors', misshapen),
    ...listed('tensors that the architecture does not have', extra),
  ];
  if (issues.length > 0) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${directory}: the weights do not fit config.json (${config.architecture}): ${issues.join('; ')}`,
      { detail: { directory, missing: [...missing], wrong: misshapen, extra } },
    );
  }
  return found;
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
  { parts = 1, memory, freezeVisionTower = false, overrides = {} }: LoadOptions = {},
): Promise<LoadedCheckpoint> {
  const config = await readModelConfig(directory, overrides);
  const start = freezeVisionTower ? visionLength(config) : 0;
  const layout = dividedInto(layOut(parameterGroups(config)), parts, start);
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, directory);
  const places = placesOf(directory, config, layout, readers);
  const arena = new Arena(layout, memory?.(layout.length * Float32Array.BYTES_PER_ELEMENT));
  await readInto(arena, places, readers);
  return { directory, config, arena };
}

/** Reads every stored tensor that has a place into the arena. */
export async function readInto(
  arena: Arena,
  places: ReadonlyMap<StoredTensor, ArenaEntry>,
  readers: readonly SafetensorsReader[],
): Promise<void> {
  for (const reader of readers) {
    for (const stored of reader.header.tensors) {
      const place = places.get(stored);
      if (place !== undefined) await reader.readF32(stored, arena.tensor(place.name).data);
    }
  }
}

/** Files beside the weights that make a directory loadable: configs, tokenizer, templates, licence. */
export function isCompanion(name: string): boolean {
  if (/^(pytorch_model|tf_model|flax_model)/.test(name)) return false;
  return /\.(json|jinja|txt|model)$/.test(name) || /^(LICENSE|NOTICE)/i.test(name);
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
  const config = await readModelConfig(from, overrides);
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, from);
  const places = placesOf(from, config, arena.layout, readers);
  await writeDirectoryAtomically(target, async (directory) => {
    for (const entry of await readdir(from, { withFileTypes: true })) {
      if (entry.isDirectory() || !isCompanion(entry.name)) continue;
      await copyFile(path.join(from, entry.name), path.join(directory, entry.name));
    }
    await rewriteConfig(directory, overrides, dtype);
    for (const { header } of readers) {
      const tensors = header.tensors.map((stored) => ({
        name: stored.name,
        tensor: mergedTensor(places.get(stored)!.name, arena, adapter),
        dtype: dtype ?? stored.dtype,
      }));
      await writeSafetensors(
        path.join(directory, path.basename(header.file)),
        tensors,
        header.metadata,
      );
    }
  });
}

const torchNames = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** Has `config.json` say what differs from the one that was copied. */
async function rewriteConfig(
  directory: string,
  overrides: ConfigOverrides,
  dtype: SaveOptions['dtype'],
): Promise<void> {
  if (dtype === undefined && Object.keys(overrides).length === 0) return;
  const file = path.join(directory, 'config.json');
  const config = laidOver(await readJson(JsonObject, file), overrides);
  const key = 'dtype' in config ? 'dtype' : 'torch_dtype';
  const written = dtype === undefined ? config : { ...config, [key]: torchNames[dtype] };
  await writeFile(file, `${JSON.stringify(written, null, 2)}\n`);
}

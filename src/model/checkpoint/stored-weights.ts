/** Weight files of a checkpoint: tensors matched with a model's parameters, read into an arena, and written again. */
import * as path from 'node:path';
import * as t from 'io-ts';
import { CxmindError } from '../../errors.ts';
import { isFile, writeDirectoryAtomically } from '../../files.ts';
import { bytesPerElement, type DType } from '../../tensor/dtype.ts';
import type { MakeShared } from '../../tensor/memory.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { HeadKind } from '../architecture.ts';
import { HEAD } from '../decoder/weight-names.ts';
import { architectureOf } from '../families.ts';
import type { ModelConfig } from '../model-config.ts';
import { parameterGroups, visionLength } from '../parameters.ts';
import { dividedInto, layOut, type ArenaEntry, type ArenaLayout } from '../weights/arena-layout.ts';
import { Arena } from '../weights/arena.ts';
import { copyCompanions, INDEX, indexChange, type JsonObject } from './companions.ts';
import { readJson } from '../../check/json.ts';
import {
  SafetensorsReader,
  writeSafetensors,
  type StoredTensor,
  type TensorToStore,
} from './safetensors.ts';
import { isTransposed, transposeStacks } from './transposed-stacks.ts';

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
      { detail: { file: index } },
    );
  }
  return names;
}

/** Opens a checkpoint's weight files, to be closed with the stack. */
export async function openWeights(
  stack: AsyncDisposableStack,
  directory: string,
): Promise<SafetensorsReader[]> {
  return await Array.fromAsync(await weightFiles(directory), async (name) =>
    stack.use(await SafetensorsReader.open(path.join(directory, name))),
  );
}

/** Permitted differences between a model's layout and its stored tensors. */
export interface Leniency {
  /** Parameters that need not be stored. */
  readonly optional: readonly string[];
  /** Stored tensors that are not read. */
  readonly unread: readonly string[];
}

/** Places in a layout of the stored tensors that belong there. */
export interface Places {
  readonly places: ReadonlyMap<StoredTensor, ArenaEntry>;
  /** Notes on tensors without a place, which are ignored. */
  readonly notes: readonly string[];
}

/**
 * Finds each stored tensor's place in the layout. Tensors that the architecture does not have, such as buffers that
 * other programs store, are ignored.
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
  const { ofStored } = architectureOf(config).weights;
  const expected = new Map(layout.entries.map((entry) => [entry.name, entry]));
  const missing = new Set(expected.keys().filter((name) => !optional.includes(name)));
  const found = new Map<StoredTensor, ArenaEntry>();
  const taken = new Set<ArenaEntry>();
  const wrong: string[] = [];
  const extra: string[] = [];
  const skipped = [...unread, ...copiesOf(config, files)];
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
      const issue = taken.has(entry) ? 'is stored twice' : misfit(stored, entry);
      if (issue === null) found.set(stored, entry);
      else wrong.push(`${where} ${issue}`);
      taken.add(entry);
    }
  }
  const issues = [...listed('missing tensors', [...missing]), ...listed('wrong tensors', wrong)];
  const ignored = listed('tensors that the architecture does not have', extra);
  if (issues.length > 0) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${directory}: the weights do not fit config.json (${config.architecture}): ${[...issues, ...ignored].join('; ')}`,
      { detail: { directory, missing: [...missing], wrong, extra } },
    );
  }
  return { places: found, notes: ignored.map((note) => `${directory}: ignored are ${note}`) };
}

/** Stored tensors that are copies of others: a tied head, where the embedding is stored too. */
function copiesOf(config: ModelConfig, files: readonly SafetensorsReader[]): string[] {
  const { embedding, ofStored } = architectureOf(config).weights;
  if (!config.text.tieWordEmbeddings) return [];
  const names = files.flatMap(({ header }) => header.tensors.map(({ name }) => name));
  const others = names.filter((name) => name !== HEAD);
  return others.some((name) => ofStored(name, config) === embedding) ? [HEAD] : [];
}

/** The reason why a stored tensor does not fit a place, or null where it does. */
function misfit(stored: StoredTensor, entry: ArenaEntry): string | null {
  const { dtype, shape } = stored;
  if (!['f32', 'f16', 'bf16'].includes(dtype)) return `has dtype ${dtype}, not f32, f16 or bf16`;
  if (shape.join() === entry.shape.join() || isTransposed(stored, entry)) return null;
  return `is [${shape.join(', ')}], not [${entry.shape.join(', ')}]`;
}

function listed(what: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const shown = items.slice(0, 20).join(', ');
  const rest = items.length > 20 ? `, and ${items.length - 20} more` : '';
  return [`${what}: ${shown}${rest}`];
}

/** Size and memory of the arena that weights are read into. */
export interface ReadOptions {
  /** Equal parts that the trained part of the arena divides into; 1 when left out. */
  readonly parts?: number;
  /** Allocates the arena by its size; a block of its own when left out. */
  readonly memory?: MakeShared;
  /** True where the vision tower, with which the arena begins, is not trained. */
  readonly freezeVisionTower?: boolean;
  /** Ends the reading with its reason when it aborts. */
  readonly signal?: AbortSignal;
}

/**
 * Reads weights into a new f32 arena. Everything is checked before the arena is allocated.
 *
 * @throws CHECKPOINT_INVALID as `placesOf`
 */
export async function readWeights(
  directory: string,
  { config, head }: { readonly config: ModelConfig; readonly head: HeadKind },
  readers: readonly SafetensorsReader[],
  { parts = 1, memory, freezeVisionTower = false, signal }: ReadOptions,
  leniency?: Leniency,
): Promise<Places & { readonly arena: Arena }> {
  const start = freezeVisionTower ? visionLength(config) : 0;
  const layout = dividedInto(layOut(parameterGroups(config, head)), parts, start);
  const { places, notes } = placesOf(directory, config, layout, readers, leniency);
  const arena = new Arena(layout, memory?.(layout.length * bytesPerElement('f32')));
  for (const reader of readers) {
    for (const stored of reader.header.tensors) {
      signal?.throwIfAborted();
      const place = places.get(stored);
      if (place !== undefined) await reader.readF32(stored, arena.tensor(place.name));
    }
  }
  transposeStacks(places, (name) => arena.tensor(name));
  return { places, notes, arena };
}

/** A file of weights to write. */
export interface WeightFile {
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly TensorToStore[];
}

/**
 * Makes weight files with the names, order and dtypes of a checkpoint's.
 *
 * @param tensorOf gives a parameter's new values by its name
 * @param dtype of all tensors; their own when left out
 */
export function likeStored(
  readers: readonly SafetensorsReader[],
  places: ReadonlyMap<StoredTensor, ArenaEntry>,
  tensorOf: (name: string) => Tensor,
  dtype?: DType,
): WeightFile[] {
  return readers.map(({ header }) => ({
    name: path.basename(header.file),
    metadata: header.metadata,
    tensors: header.tensors.flatMap((stored) => {
      const place = places.get(stored);
      if (place === undefined) return [];
      return [{ name: stored.name, tensor: tensorOf(place.name), dtype: dtype ?? stored.dtype }];
    }),
  }));
}

/**
 * Writes a Hugging Face directory: weights, and copies of the files beside another directory's weights. Atomic, as
 * `writeDirectoryAtomically`.
 */
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
    await copyCompanions(from, directory, { 'config.json': configOf, ...indexChange(places) });
    for (const { name, tensors, metadata } of files) {
      if (tensors.length > 0) await writeSafetensors(path.join(directory, name), tensors, metadata);
    }
  });
}

import * as path from 'node:path';
import * as t from 'io-ts';
import { keyOf, Rng } from '../../rng.ts';
import { bytesPerElement } from '../../tensor/dtype.ts';
import { Arena } from '../weights/arena.ts';
import { dividedInto, layOut } from '../weights/arena-layout.ts';
import {
  openWeights,
  placesOf,
  readInto,
  writeModel,
  type Leniency,
  type LoadedCheckpoint,
  type LoadOptions,
} from './checkpoint.ts';
import { decodeModelConfig, overridden } from './config-file.ts';
import { architectureOf } from '../families.ts';
import { readJson } from '../../check/json.ts';
import type { ModelConfig } from '../model-config.ts';
import { parameterGroups, visionLength } from '../parameters.ts';
import type { ConfigOverrides } from './config-overrides.ts';

/** A policy's checkpoint makes a value model too: without its own head, and with a new one. */
function fromPolicy(config: ModelConfig): Leniency {
  const { head, scoreWeight, scoreBias } = architectureOf(config).weights;
  return { optional: [scoreWeight, scoreBias], unread: [head] };
}

const ConfigFile = t.intersection([
  t.record(t.string, t.unknown),
  t.type({ architectures: t.array(t.string) }),
  t.partial({ initializer_range: t.number }),
]);
type ConfigFile = t.TypeOf<typeof ConfigFile>;

/**
 * Reads a value model: one that `saveValueCheckpoint` wrote, transformers' token classifier with one label, or a
 * policy, which gets a head drawn from the seed, normal with the deviation that `initializer_range` says, its bias 0.
 *
 * @throws CHECKPOINT_INVALID naming file, field and tensors
 */
export async function loadValueCheckpoint(
  directory: string,
  options: LoadOptions & { readonly seed: number },
): Promise<LoadedCheckpoint> {
  const { seed, parts = 1, memory, freezeVisionTower = false, overrides = {}, signal } = options;
  const { config, file } = await readValueConfig(directory, overrides);
  const start = freezeVisionTower ? visionLength(config) : 0;
  const layout = dividedInto(layOut(parameterGroups(config, 'value')), parts, start);
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, directory);
  const { places, notes } = placesOf(directory, config, layout, readers, fromPolicy(config));
  const arena = new Arena(layout, memory?.(layout.length * bytesPerElement('f32')));
  const { scoreWeight } = architectureOf(config).weights;
  if (!new Set([...places.values()].map(({ name }) => name)).has(scoreWeight)) {
    const rng = new Rng(keyOf('value-head', seed));
    const deviation = file.initializer_range ?? 0.02;
    const { data } = arena.tensor(scoreWeight);
    for (let i = 0; i < data.length; i++) data[i] = deviation * rng.nextNormal();
  }
  await readInto(arena, places, readers, signal);
  return { directory, config, arena, notes };
}

/**
 * Writes a value model as a Hugging Face directory like the one it was loaded from, as a token classifier with one
 * label: `score.weight` and `score.bias` instead of `lm_head.weight`.
 *
 * Atomic, as `writeDirectoryAtomically`.
 *
 * @param from      the directory the arena was loaded from
 * @param overrides keys laid over `config.json`, as they were then
 * @throws CHECKPOINT_INVALID when `from` does not fit the arena any more
 */
export async function saveValueCheckpoint(
  target: string,
  { from, arena, overrides = {} }: { from: string; arena: Arena; overrides?: ConfigOverrides },
): Promise<void> {
  const { config, file } = await readValueConfig(from, overrides);
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, from);
  const { places } = placesOf(from, config, arena.layout, readers, fromPolicy(config));
  const stored = new Set([...places.values()].map(({ name }) => name));
  const added = fromPolicy(config).optional.filter((name) => !stored.has(name));
  const last = readers.at(-1)!.header;
  const { dtype } = [...places.keys()].at(-1)!;
  const files = readers.map(({ header }) => {
    const kept = header.tensors.flatMap((tensor) => {
      const place = places.get(tensor);
      if (place === undefined) return [];
      return [{ name: tensor.name, tensor: arena.tensor(place.name), dtype: tensor.dtype }];
    });
    const head =
      header === last ? added.map((name) => ({ name, tensor: arena.tensor(name), dtype })) : [];
    const { file: weights, metadata } = header;
    return { name: path.basename(weights), metadata, tensors: [...kept, ...head] };
  });
  await writeModel(target, from, files, () =>
    architectureOf(config).config.inBothLayouts(classifierConfig(file, config), config),
  );
}

/** The sizes that a policy's or a value model's `config.json` gives, and the file itself. */
async function readValueConfig(
  directory: string,
  overrides: ConfigOverrides,
): Promise<{ config: ModelConfig; file: ConfigFile }> {
  const json = path.join(directory, 'config.json');
  const [file, name] = overridden(await readJson(ConfigFile, json), json, overrides, 'critic');
  return { config: decodeModelConfig(file, name, 'critic'), file };
}

function classifierConfig(file: ConfigFile, config: ModelConfig): ConfigFile {
  return {
    ...file,
    architectures: [architectureOf(config).valueName],
    classifier_dropout: 0,
    id2label: { '0': 'value' },
    label2id: { value: 0 },
  };
}

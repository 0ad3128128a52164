import * as path from 'node:path';
import * as t from 'io-ts';
import { keyOf, Rng } from '../rng.ts';
import { Arena, dividedInto, layOut } from './arena.ts';
import {
  openWeights,
  placesOf,
  readInto,
  writeModel,
  type Leniency,
  type LoadedCheckpoint,
  type LoadOptions,
} from './checkpoint.ts';
import { readJson } from './json-file.ts';
import { decodeModelConfig, overridden, type Architecture } from './qwen2-5-vl/config.ts';
import type { ModelConfig } from './model-config.ts';
import type { ConfigOverrides } from './config-overrides.ts';
import { inBothLayouts } from './qwen2-5-vl/config-layouts.ts';
import { HEAD, valueParameterGroups, visionLength } from './qwen2-5-vl/weight-names.ts';

/**
 * The architectures of value models, by those of the policies with the same decoder. transformers has the first; it
 * has no token classifier of a vision-language model, and the second is named as it would be.
 */
export const valueArchitectures: Readonly<Record<Architecture, string>> = {
  Qwen2ForCausalLM: 'Qwen2ForTokenClassification',
  Qwen2_5_VLForConditionalGeneration: 'Qwen2_5_VLForTokenClassification',
};

const SCORE = ['score.weight', 'score.bias'];
/** A policy's checkpoint makes a value model too: without its own head, and with a new one. */
const fromPolicy: Leniency = { optional: SCORE, unread: [HEAD] };

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
  const { seed, parts = 1, memory, freezeVisionTower = false, overrides = {} } = options;
  const { config, file } = await readValueConfig(directory, overrides);
  const start = freezeVisionTower ? visionLength(config) : 0;
  const layout = dividedInto(layOut(valueParameterGroups(config)), parts, start);
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, directory);
  const { places, notes } = placesOf(directory, config, layout, readers, fromPolicy);
  const arena = new Arena(layout, memory?.(layout.length * Float32Array.BYTES_PER_ELEMENT));
  const isStored = new Set([...places.values()].map(({ name }) => name)).has('score.weight');
  if (!isStored) {
    const rng = new Rng(keyOf('value-head', seed));
    const deviation = file.initializer_range ?? 0.02;
    const { data } = arena.tensor('score.weight');
    for (let i = 0; i < data.length; i++) data[i] = deviation * rng.nextNormal();
  }
  await readInto(arena, places, readers);
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
  const { places } = placesOf(from, config, arena.layout, readers, fromPolicy);
  const stored = new Set([...places.values()].map(({ name }) => name));
  const added = SCORE.filter((name) => !stored.has(name));
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
    inBothLayouts(classifierConfig(file, config), config),
  );
}

/** The sizes that a policy's or a value model's `config.json` gives, and the file itself. */
async function readValueConfig(
  directory: string,
  overrides: ConfigOverrides,
): Promise<{ config: ModelConfig; file: ConfigFile }> {
  const json = path.join(directory, 'config.json');
  const [file, name] = overridden(await readJson(ConfigFile, json), json, overrides, 'critic');
  const policyOf = new Map(
    Object.entries(valueArchitectures).map(([policy, value]) => [value, policy]),
  );
  const architectures = file.architectures.map((one) => policyOf.get(one) ?? one);
  return { config: decodeModelConfig({ ...file, architectures }, name), file };
}

function classifierConfig(file: ConfigFile, { architecture }: ModelConfig): ConfigFile {
  return {
    ...file,
    architectures: [valueArchitectures[architecture as Architecture]],
    classifier_dropout: 0,
    id2label: { '0': 'value' },
    label2id: { value: 0 },
  };
}

/** Checkpoints of value and reward models: transformers' token and sequence classifiers with one label. */
import * as path from 'node:path';
import * as t from 'io-ts';
import { keyOf, Rng } from '../../rng.ts';
import { valueNameOf } from '../architecture.ts';
import { inBothLayouts } from '../decoder/config-layouts.ts';
import { HEAD, SCORE } from '../decoder/weight-names.ts';
import { architectureOf } from '../families.ts';
import type { ModelConfig } from '../model-config.ts';
import type { Arena } from '../weights/arena.ts';
import type { LoadedCheckpoint, LoadOptions } from './checkpoint.ts';
import { decodeModelConfig, overridden, type ConfigOverrides } from './config-file.ts';
import { readJson } from '../../check/json.ts';
import {
  likeStored,
  openWeights,
  placesOf,
  readWeights,
  writeModel,
  type Leniency,
  type Places,
} from './stored-weights.ts';

/** Differences by which a policy's checkpoint is read as a value model: its own head is left, a new one is added. */
const FROM_POLICY: Leniency = { optional: [SCORE.weight, SCORE.bias], unread: [HEAD] };

const ConfigFile = t.intersection([
  t.record(t.string, t.unknown),
  t.type({ architectures: t.array(t.string) }),
  t.partial({ initializer_range: t.number }),
]);
type ConfigFile = t.TypeOf<typeof ConfigFile>;

/**
 * Reads a value model: one that `saveValueCheckpoint` wrote, transformers' token or sequence classifier with one label,
 * or a policy.
 *
 * A policy gets a head drawn from the seed: weights normal with the deviation `initializer_range`, its bias 0.
 *
 * @throws CHECKPOINT_INVALID naming file, field and tensors
 */
export async function loadValueCheckpoint(
  directory: string,
  { seed, ...options }: LoadOptions & { readonly seed: number },
): Promise<LoadedCheckpoint> {
  const { loaded, file, places } = await readClassifier(directory, options, FROM_POLICY);
  if (![...places.values()].some(({ name }) => name === SCORE.weight)) {
    const rng = new Rng(keyOf('value-head', seed));
    const deviation = file.initializer_range ?? 0.02;
    const { data } = loaded.arena.tensor(SCORE.weight);
    for (let i = 0; i < data.length; i++) data[i] = deviation * rng.nextNormal();
  }
  return loaded;
}

/**
 * Reads a reward model: transformers' sequence classifier with one label, or a value model.
 *
 * @throws CHECKPOINT_INVALID naming file, field and tensors; among others where there is no `score.weight`
 */
export async function loadRewardCheckpoint(directory: string): Promise<LoadedCheckpoint> {
  // A sequence classifier of transformers has no bias, and an older one may have kept the policy's head.
  const reading = { optional: [SCORE.bias], unread: [HEAD] };
  return (await readClassifier(directory, {}, reading)).loaded;
}

/** A model with a head of one number, its `config.json`, and the places of the weights that are stored. */
async function readClassifier(
  directory: string,
  { overrides = {}, ...options }: LoadOptions,
  leniency: Leniency,
): Promise<
  Pick<Places, 'places'> & { readonly loaded: LoadedCheckpoint; readonly file: ConfigFile }
> {
  const { config, file } = await readValueConfig(directory, overrides);
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, directory);
  const model = { config, head: 'value' } as const;
  const { places, ...read } = await readWeights(directory, model, readers, options, leniency);
  return { loaded: { directory, config, ...read }, file, places };
}

/**
 * Writes a value model as a Hugging Face directory like the one it was loaded from, as a token classifier with one
 * label: a score's weight and bias in place of the policy's head. Atomic, as `writeDirectoryAtomically`.
 *
 * @param from      the directory the arena was loaded from
 * @param overrides keys laid over `config.json`, the same as when it was loaded
 * @throws CHECKPOINT_INVALID when `from` does not fit the arena any more
 */
export async function saveValueCheckpoint(
  target: string,
  { from, arena, overrides = {} }: { from: string; arena: Arena; overrides?: ConfigOverrides },
): Promise<void> {
  const { config, file } = await readValueConfig(from, overrides);
  await using stack = new AsyncDisposableStack();
  const readers = await openWeights(stack, from);
  const { places } = placesOf(from, config, arena.layout, readers, FROM_POLICY);
  const stored = new Set([...places.values()].map(({ name }) => name));
  const { dtype } = [...places.keys()].at(-1)!;
  const added = FROM_POLICY.optional
    .filter((name) => !stored.has(name))
    .map((name) => ({ name, tensor: arena.tensor(name), dtype }));
  const files = likeStored(readers, places, (name) => arena.tensor(name));
  const last = files.pop()!;
  const withHead = [...files, { ...last, tensors: [...last.tensors, ...added] }];
  await writeModel(target, from, withHead, () =>
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
  return { config: decodeModelConfig(file, name, 'critic'), file };
}

function classifierConfig(file: ConfigFile, config: ModelConfig): ConfigFile {
  return {
    ...file,
    architectures: [valueNameOf(architectureOf(config))],
    classifier_dropout: 0,
    id2label: { '0': 'value' },
    label2id: { value: 0 },
  };
}

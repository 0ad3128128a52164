/** The `config.json` of a checkpoint: overrides are laid over it, its family is found, and the family decodes it. */
import * as path from 'node:path';
import * as t from 'io-ts';
import { nearestOf } from '../../check/nearest.ts';
import { CxmindError } from '../../errors.ts';
import { valueNameOf, type Architecture } from '../architecture.ts';
import { expertKey } from '../decoder/experts-config.ts';
import { architectureOf, architectures } from '../families.ts';
import type { ModelConfig } from '../model-config.ts';
import type { JsonObject } from './companions.ts';
import { decodeJson, readJson } from '../../check/json.ts';

/** Keys laid over a checkpoint's `config.json`; a mapping is laid over a mapping, key by key. */
export type ConfigOverrides = Readonly<Record<string, unknown>>;

/** The model of a run that keys are given for, by its name in the run's config. */
export type OverriddenRole = 'actor' | 'critic';

const Head = t.type({ architectures: t.array(t.string) });

/** Settings of transformers' own engine, which do not describe the model. */
const engineKeys = [
  'attn_implementation',
  '_attn_implementation',
  'use_cache',
  'initializer_range',
  'max_position_embeddings',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
];

/** Names in transformers of a family with one number a token, and with one a sequence. */
function scoringNames(architecture: Architecture): readonly string[] {
  const name = valueNameOf(architecture);
  return [name, name.replace('ForTokenClassification', 'ForSequenceClassification')];
}

/** @throws CHECKPOINT_INVALID for an unknown mixture of experts, naming the key and what to take instead */
function refuseExperts(value: unknown, file: string, names: readonly string[]): void {
  if (!t.UnknownRecord.is(value)) return;
  const { text_config: nested } = value;
  for (const part of [value, ...(t.UnknownRecord.is(nested) ? [nested] : [])]) {
    const key = expertKey(part);
    if (key === undefined) continue;
    const field = part === value ? key : `text_config.${key}`;
    const supported = architectures.map(({ name }) => name).join(', ');
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${file}: ${field} ${String(part[key])}: ${names.join(', ')} is a mixture of experts that is not supported; take ` +
        `another model (${supported}), or ask this one from a server, as a judge of worker.reward.reward_functions`,
      { detail: { file, field, got: names } },
    );
  }
}

/** The family that a `config.json` names; a critic's may name it as a policy's does. */
function architectureIn(value: unknown, file: string, role: OverriddenRole): Architecture {
  const { architectures: names } = decodeJson(Head, value, file);
  const found = architectures.find(
    (one) =>
      names.includes(one.name) ||
      (role === 'critic' && scoringNames(one).some((name) => names.includes(name))),
  );
  if (found !== undefined) return found;
  refuseExperts(value, file, names);
  const supported = architectures.map(({ name }) => name);
  throw new CxmindError(
    'CHECKPOINT_INVALID',
    `${file}: architectures: ${JSON.stringify(names)} is not supported; supported are ${supported.join(', ')}`,
    { detail: { file, field: 'architectures', got: names, supported } },
  );
}

/**
 * The model a `config.json` describes.
 *
 * @param file where the value came from, for messages
 * @throws CHECKPOINT_INVALID naming file and field for an unknown architecture, a missing or mistyped field, sizes
 *   that contradict each other, and features that are not supported
 */
export function decodeModelConfig(
  value: unknown,
  file: string,
  role: OverriddenRole = 'actor',
): ModelConfig {
  const { name, config } = architectureIn(value, file, role);
  return { architecture: name, ...config.decode(value, file) };
}

/**
 * Reads `config.json` of a checkpoint directory.
 *
 * @param overrides keys laid over it
 * @throws as `decodeModelConfig`; CONFIG_INVALID for overrides of keys that do not exist
 */
export async function readModelConfig(
  directory: string,
  overrides: ConfigOverrides = {},
): Promise<ModelConfig> {
  const file = path.join(directory, 'config.json');
  const config = await readJson(t.UnknownRecord, file);
  return decodeModelConfig(...overridden(config, file, overrides, 'actor'));
}

/**
 * A checkpoint's config with keys laid over it, and its name in messages.
 *
 * @throws CHECKPOINT_INVALID for an unknown architecture; CONFIG_INVALID for keys that do not exist
 */
export function overridden<C extends JsonObject>(
  config: C,
  file: string,
  overrides: ConfigOverrides,
  role: OverriddenRole,
): [config: C, name: string] {
  if (Object.keys(overrides).length === 0) return [config, file];
  const [laid, name] = [laidOver(config, overrides) as C, `${file} with override_config`];
  const { readPaths } = architectureIn(laid, name, role).config;
  checkOverrides(config, overrides, readPaths('text_config' in config), role);
  return [laid, name];
}

/**
 * Paths of overrides that change nothing, because the model's family does not read them.
 *
 * @param besides paths that another part of the program reads
 */
export function ignoredOverrides(
  config: ModelConfig,
  overrides: ConfigOverrides,
  besides: readonly string[] = [],
): string[] {
  const { readPaths } = architectureOf(config).config;
  const read = new Set([...readPaths(false), ...readPaths(true), ...besides]);
  return pathsOf(overrides).filter((path) => !read.has(path));
}

/** The config with the overrides laid over it. */
export function laidOver(config: JsonObject, overrides: ConfigOverrides): JsonObject {
  const merged: Record<string, unknown> = { ...config };
  for (const [key, value] of Object.entries(overrides)) {
    const before = merged[key];
    merged[key] =
      t.UnknownRecord.is(before) && t.UnknownRecord.is(value) ? laidOver(before, value) : value;
  }
  return merged;
}

/**
 * Refuses overrides of keys that are neither read nor in the checkpoint's own config.
 *
 * @param read paths that the model's decoder looks at
 * @throws CONFIG_INVALID naming every such key, with the nearest one there is
 */
function checkOverrides(
  config: JsonObject,
  overrides: ConfigOverrides,
  read: readonly string[],
  role: OverriddenRole,
): void {
  const known = [...new Set([...read, ...pathsOf(config), ...engineKeys])];
  const unknown = pathsOf(overrides).filter((path) => !known.includes(path));
  if (unknown.length === 0) return;
  const issues = unknown.map((path) => {
    const nearest = nearestOf(path, known);
    return (
      `worker.${role}.model.override_config.${path}: the model's config has no such key` +
      (nearest === undefined ? '' : `, nearest: ${nearest}`)
    );
  });
  throw new CxmindError('CONFIG_INVALID', issues.join('\n'), { detail: { unknown } });
}

/** Paths of the values in a mapping: `rope_scaling.mrope_section`. */
function pathsOf(value: JsonObject, prefix = ''): string[] {
  return Object.entries(value).flatMap(([key, inner]) =>
    t.UnknownRecord.is(inner) ? pathsOf(inner, `${prefix}${key}.`) : [`${prefix}${key}`],
  );
}

import { nearestOf } from '../../check/nearest.ts';
import { CxmindError } from '../../errors.ts';

/** Keys laid over a checkpoint's `config.json`; a mapping is laid over a mapping, key by key. */
export type ConfigOverrides = Readonly<Record<string, unknown>>;

type JsonObject = Readonly<Record<string, unknown>>;

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

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The config with the overrides laid over it. */
export function laidOver(config: JsonObject, overrides: ConfigOverrides): JsonObject {
  const merged: Record<string, unknown> = { ...config };
  for (const [key, value] of Object.entries(overrides)) {
    const before = merged[key];
    merged[key] = isObject(before) && isObject(value) ? laidOver(before, value) : value;
  }
  return merged;
}

/** Paths of the values in a mapping: `rope_scaling.mrope_section`. */
export function pathsOf(value: JsonObject, prefix = ''): string[] {
  return Object.entries(value).flatMap(([key, inner]) =>
    isObject(inner) ? pathsOf(inner, `${prefix}${key}.`) : [`${prefix}${key}`],
  );
}

/** Which model of a run the keys are given for, as its config calls it. */
export type OverriddenRole = 'actor' | 'critic';

/**
 * Refuses overrides of keys that nobody reads, and that the checkpoint's own config does not have either.
 *
 * @param config  of the checkpoint
 * @param read    paths that the model's decoder looks at
 * @throws CONFIG_INVALID naming every such key, with the nearest one there is
 */
export function checkOverrides(
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

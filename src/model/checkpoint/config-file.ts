import * as path from 'node:path';
import * as t from 'io-ts';
import { CxmindError } from '../../errors.ts';
import type { Architecture } from '../architecture.ts';
import {
  checkOverrides,
  laidOver,
  pathsOf,
  type ConfigOverrides,
  type OverriddenRole,
} from './config-overrides.ts';
import { architectureOf, architectures } from '../families.ts';
import { decodeJson, readJson } from '../../check/json.ts';
import type { ModelConfig } from '../model-config.ts';

const Head = t.type({ architectures: t.array(t.string) });

/** The family that a `config.json` names; one of a critic may be called as a policy is. */
function architectureIn(value: unknown, file: string, role: OverriddenRole): Architecture {
  const { architectures: names } = decodeJson(Head, value, file);
  const found = architectures.find(
    ({ name, valueName }) =>
      names.includes(name) || (role === 'critic' && names.includes(valueName)),
  );
  if (found !== undefined) return found;
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
 * @throws CHECKPOINT_INVALID naming file and field for an architecture that there is not, a missing or mistyped
 *   field, sizes that contradict each other, and features that are not supported
 */
export function decodeModelConfig(
  value: unknown,
  file: string,
  role: OverriddenRole = 'actor',
): ModelConfig {
  return architectureIn(value, file, role).config.decode(value, file);
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
 * A checkpoint's config with keys laid over it, and what to call that in a message.
 *
 * @throws CHECKPOINT_INVALID for an architecture that there is not; CONFIG_INVALID for keys that do not exist
 */
export function overridden<C extends Readonly<Record<string, unknown>>>(
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
 * Overrides that change nothing, because the model's family does not look at them.
 *
 * @param besides paths that someone else looks at
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

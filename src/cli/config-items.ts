/**
 * Items: `config=FILE` and `path.to.key=value`, any number of them, by which a command line describes a config.
 *
 * Here are the arguments and flags of commands that take items, and the loading of the config.
 */
import { Args, Flags } from '@oclif/core';
import { configFrom, type LoadedConfig } from '../config/load.ts';
import type { Purpose } from '../config/files.ts';
import { formatIssue } from '../check/issues.ts';
import { Config } from '../config/schema.ts';
import { builtInRewards } from '../reward/registry.ts';
import { packageRoot } from './package-root.ts';
import type { Output } from './output/output.ts';

/** Arguments of a command that takes items. */
export const itemArgs = {
  items: Args.string({
    description: 'config=FILE, then values laid over it: path.to.key=value, the value as YAML',
  }),
};

/** Flags of a command that takes items. */
export const itemFlags = {
  'print-config': Flags.boolean({
    description: 'print the whole config as JSON, defaults and derived values included, and stop',
  }),
};

/**
 * The config that the items describe, checked for `purpose`, and the stages of a curriculum beside it.
 *
 * Doubtful values are warnings.
 *
 * @throws CONFIG_INVALID with everything that is wrong
 */
export async function configFromItems(
  items: readonly string[],
  purpose: Purpose,
  output: Output,
): Promise<LoadedConfig> {
  const loaded = await load(items, purpose);
  for (const warning of loaded.warnings) output.warn(warning);
  return loaded;
}

/** Prints the config that the items describe. Reasons why it cannot run are warnings. */
export async function printConfig(items: readonly string[], output: Output): Promise<void> {
  const { config, warnings, issues } = await load(items, null);
  for (const line of [...warnings, ...issues.map(formatIssue)]) output.warn(line);
  const encoded = Config.encode(config);
  const text = JSON.stringify(encoded, null, 2);
  await output.tell({ event: 'result', command: 'config', config: encoded }, text);
}

/** The run's folder in the config that the items describe, even where that config cannot run here. */
export async function folderFromItems(items: readonly string[]): Promise<string> {
  const { config } = await load(items, null);
  return config.trainer.saveCheckpointPath ?? '.';
}

/** Loads the config that the items describe, with cxmind's own configs and rewards. */
export function load(items: readonly string[], purpose: Purpose | null): Promise<LoadedConfig> {
  return configFrom(items, { purpose, packageRoot: packageRoot(), rewards: builtInRewards });
}

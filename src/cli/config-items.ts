import { Args, Flags } from '@oclif/core';
import { configFrom, type LoadedConfig } from '../config/load.ts';
import type { Purpose } from '../config/files.ts';
import { formatIssue } from '../check/issues.ts';
import { Config } from '../config/schema.ts';
import { builtInRewards } from '../reward/registry.ts';
import { packageRoot } from './package-root.ts';
import { complain, print } from './terminal.ts';

/** Arguments of a command that takes `config=FILE` and `path.to.key=value`, any number of them. */
export const itemArgs = {
  items: Args.string({
    description: 'config=FILE, then values laid over it: path.to.key=value, the value as YAML',
  }),
};

/** Flags of such a command. */
export const itemFlags = {
  'print-config': Flags.boolean({
    description: 'print the whole config as JSON, defaults and derived values included, and stop',
  }),
};

/**
 * The config that the items describe, checked for `purpose`; warnings go to stderr.
 *
 * @throws CONFIG_INVALID with everything that is wrong
 */
export async function configFromItems(items: readonly string[], purpose: Purpose): Promise<Config> {
  return (await loadedFromItems(items, purpose)).config;
}

/** `configFromItems` with the stages of a curriculum beside it. */
export async function loadedFromItems(
  items: readonly string[],
  purpose: Purpose,
): Promise<LoadedConfig> {
  const loaded = await load(items, purpose);
  for (const warning of loaded.warnings) complain(`warning: ${warning}`);
  return loaded;
}

/** Prints the config that the items describe. Reasons why it cannot run go to stderr. */
export async function printConfig(items: readonly string[]): Promise<void> {
  const { config, warnings, issues } = await load(items, null);
  for (const line of [...warnings, ...issues.map(formatIssue)]) complain(`warning: ${line}`);
  await print(JSON.stringify(Config.encode(config), null, 2));
}

/** The run's folder by the config that the items describe, even where that cannot run here. */
export async function folderFromItems(items: readonly string[]): Promise<string> {
  const { config } = await load(items, null);
  return config.trainer.saveCheckpointPath ?? '.';
}

function load(items: readonly string[], purpose: Purpose | null): Promise<LoadedConfig> {
  return configFrom(items, { purpose, packageRoot: packageRoot(), rewards: builtInRewards });
}

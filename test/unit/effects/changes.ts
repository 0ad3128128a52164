import assert from 'node:assert/strict';
import { configFrom } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';

/** The config that items of a command line make, beside one that a run could have. */
export async function configOf(...items: readonly string[]): Promise<Config> {
  return (await configFrom(['worker.rollout.n=2', ...items], { purpose: null })).config;
}

/**
 * Asserts that an item of the config, beside others, changes what follows from it, and does so every time.
 *
 * @param of what follows from a config
 */
export function assertChanges(
  of: (config: Config) => unknown,
  item: string,
  ...beside: readonly string[]
): Promise<void> {
  return changing(of, ...beside)(item);
}

/**
 * An assertion of several items, each of which changes what follows from the config without any of them.
 *
 * @param of what follows from a config; no later call may write to it
 */
export function changing(
  of: (config: Config) => unknown,
  ...beside: readonly string[]
): (item: string) => Promise<void> {
  let usual: { readonly result: unknown } | undefined;
  return async (item) => {
    // One after the other, as what follows may come from a server that both ask.
    usual ??= { result: await of(await configOf(...beside)) };
    const changed = await configOf(...beside, item);
    const result = await of(changed);
    assert.notDeepEqual(result, usual.result);
    // What differs each time it is asked would show nothing.
    assert.deepEqual(await of(changed), result);
  };
}

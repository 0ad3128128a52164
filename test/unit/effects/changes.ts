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
export async function assertChanges(
  of: (config: Config) => unknown,
  item: string,
  ...beside: readonly string[]
): Promise<void> {
  const [usual, changed] = [await configOf(...beside), await configOf(...beside, item)];
  const result = await of(changed);
  assert.notDeepEqual(result, await of(usual));
  // What differs each time it is asked would show nothing.
  assert.deepEqual(await of(changed), result);
}

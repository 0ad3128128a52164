import type { Config } from './schema.ts';

/** A rule over several keys; the first of them is the one an issue names. */
export interface Rule {
  readonly keys: readonly [string, ...string[]];
  /** The fault, in words with the values; undefined where the rule holds. */
  readonly broken: (config: Config) => string | undefined;
}

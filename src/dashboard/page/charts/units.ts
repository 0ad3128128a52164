/** Units of metrics, by their names; those that are a share, a score or a loss have none. */

/** Patterns of names with their units, of which the first that fits counts. */
const units: readonly (readonly [name: RegExp, unit: string])[] = [
  [/clip_ratio|fraction/, ''],
  [/^timing_s\/|^perf\/time_per_step$/, 's'],
  [/^timing_per_token_ms\//, 'ms/token'],
  [/^perf\/throughput$/, 'tokens/s'],
  [/^perf\/.*_gb$/, 'GiB'],
  [/^((val_)?(response|prompt)_length|global_seqlen)\//, 'tokens'],
  [/^perf\/total_num_tokens$|^sft\/tokens$/, 'tokens'],
];

/** Unit of a metric; empty where it has none. */
export function unitOf(metric: string): string {
  return units.find(([name]) => name.test(metric))?.[1] ?? '';
}

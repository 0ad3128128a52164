/** Units of metrics by their names. Shares, scores and losses have none. */

/** Patterns of names with their units; the first pattern that fits decides. */
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

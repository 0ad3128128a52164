/** The metrics of a training step under the names of EasyR1, and the ways to join the metrics of several sources. */
import { CxmindError } from './errors.ts';
import { rowMaskSums, rowSums, type TokenRows } from './algorithms/primitives.ts';
import { countedValues, meanOf } from './algorithms/token-statistics.ts';

/** Metric values under the reference's names, one number each. */
export type Metrics = Readonly<Record<string, number>>;

/** A training batch, as its metrics see it: f32 `[T]` over the response tokens of `B` rows. */
export interface MetricsBatch extends TokenRows {
  /** Token-level scores, before any KL penalty. */
  readonly tokenScores: Float32Array;
  /** Token-level rewards, after any KL penalty. */
  readonly tokenRewards: Float32Array;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
  /** The critic's values, where there is a critic. */
  readonly values?: Float32Array | undefined;
  /** `[B]`, tokens of each prompt. */
  readonly promptLengths: readonly number[];
  readonly maxPromptLength: number;
  readonly maxResponseLength: number;
}

/** Mean, largest and smallest under `prefix/mean`, `prefix/max` and `prefix/min`; all NaN where there are no values. */
export function summary(prefix: string, values: ArrayLike<number>): Metrics {
  if (values.length === 0) {
    return { [`${prefix}/mean`]: NaN, [`${prefix}/max`]: NaN, [`${prefix}/min`]: NaN };
  }
  let [largest, smallest] = [-Infinity, Infinity];
  for (let i = 0; i < values.length; i++) {
    largest = Math.max(largest, values[i]!);
    smallest = Math.min(smallest, values[i]!);
  }
  return {
    [`${prefix}/mean`]: meanOf(values),
    [`${prefix}/max`]: largest,
    [`${prefix}/min`]: smallest,
  };
}

/**
 * Metrics of a batch.
 *
 * They are `critic/{score,rewards}` per sample, `critic/{advantages,returns,values}` per token that counts,
 * `critic/vf_explained_var`, and lengths in tokens with the share that hit the limit.
 */
export function dataMetrics(batch: MetricsBatch): Metrics {
  const returns = countedValues(batch.returns, batch);
  const values = batch.values === undefined ? undefined : countedValues(batch.values, batch);
  return {
    ...summary('critic/score', rowSums(batch.tokenScores, batch)),
    ...summary('critic/rewards', rowSums(batch.tokenRewards, batch)),
    ...summary('critic/advantages', countedValues(batch.advantages, batch)),
    ...summary('critic/returns', returns),
    ...(values !== undefined && {
      ...summary('critic/values', values),
      'critic/vf_explained_var': explainedVariance(returns, values),
    }),
    ...lengthMetrics('response_length', rowMaskSums(batch), batch.maxResponseLength),
    ...lengthMetrics('prompt_length', batch.promptLengths, batch.maxPromptLength),
  };
}

/** Lengths in tokens under `<name>/{mean,max,min}`, and `<name>/clip_ratio`, the share at the limit. */
export function lengthMetrics(name: string, lengths: readonly number[], limit: number): Metrics {
  const atLimit = lengths.filter((length) => length === limit).length;
  return { ...summary(name, lengths), [`${name}/clip_ratio`]: atLimit / lengths.length };
}

/** Phases of a step, and the tokens that their cost grows with; null where it does not. */
const tokensOfPhase = {
  data: null,
  gen: 'response',
  wait_prev_gen: null,
  reward: 'response',
  old: 'all',
  ref: 'all',
  values: 'all',
  adv: 'all',
  update_critic: 'all',
  update_actor: 'all',
  sync_ref: null,
  validation: null,
  save_checkpoint: null,
  step: null,
} as const satisfies Readonly<Record<string, 'response' | 'all' | null>>;

/** A part of a step that is timed, as `timing_s/<phase>` calls it; `step` is the whole. */
export type Phase = keyof typeof tokensOfPhase;

/** Seconds by phase; a phase that did not take place is not there. */
export type PhaseSeconds = Readonly<Partial<Record<Phase, number>>>;

/**
 * `actor/rollout_train_mismatch/mean` and `…/max`: distance of the log-probabilities of response tokens, nats.
 *
 * @param sampled  f32 `[T]`, by the rollouts; T is not 0
 * @param computed f32 `[T]`, by the learners before the step's first update
 */
export function mismatchMetrics(sampled: Float32Array, computed: Float32Array): Metrics {
  const distances = sampled.map((value, i) => Math.abs(value - computed[i]!));
  const name = 'actor/rollout_train_mismatch';
  return {
    [`${name}/mean`]: meanOf(distances),
    [`${name}/max`]: distances.reduce((most, distance) => Math.max(most, distance), 0),
  };
}

/** The metrics with `<prefix>/` before their names. */
export function prefixed(prefix: string, metrics: object): Metrics {
  const entries = Object.entries<number>({ ...metrics });
  return Object.fromEntries(entries.map(([name, value]) => [`${prefix}/${name}`, value]));
}

/** Sums of metrics by name. A source without a metric adds nothing to it. */
export function sumMetrics(all: readonly Metrics[]): Metrics {
  const sums: Record<string, number> = {};
  for (const [name, value] of all.flatMap((each) => Object.entries(each))) {
    sums[name] = (sums[name] ?? 0) + value;
  }
  return sums;
}

/**
 * `timing_s/<phase>` in seconds, and `timing_per_token_ms/<phase>` in milliseconds for the phases whose
 * work grows with the tokens.
 *
 * @param tokens numbers of tokens in the batch: in its responses, and in prompts and responses together
 */
export function timingMetrics(
  seconds: PhaseSeconds,
  tokens: { readonly response: number; readonly all: number },
): Metrics {
  const perToken: Record<string, number> = {};
  for (const phase of Object.keys(seconds) as Phase[]) {
    const kind = tokensOfPhase[phase];
    if (kind === null) continue;
    perToken[`timing_per_token_ms/${phase}`] = (1000 * seconds[phase]!) / tokens[kind];
  }
  return { ...prefixed('timing_s', seconds), ...perToken };
}

/**
 * Metrics of several sources as one.
 *
 * @throws CONFIG_INVALID when two sources give one name, since a user's reward names its parts
 */
export function mergeMetrics(...sources: readonly Metrics[]): Metrics {
  const merged: Record<string, number> = {};
  for (const [name, value] of sources.flatMap((source) => Object.entries(source))) {
    if (Object.hasOwn(merged, name)) {
      throw new CxmindError(
        'CONFIG_INVALID',
        `metric ${name} is given twice; if a part of the reward has the name of a metric of its own, rename the part`,
      );
    }
    merged[name] = value;
  }
  return merged;
}

/**
 * `perf/*`: tokens, seconds, tokens per second and device, and memory in GiB: the host's, and a device's at its peak.
 *
 * Neither a card nor the processor tells what of its memory is reserved and not used, so both peaks are the same.
 */
export function performanceMetrics(step: {
  /** Valid tokens of the batch, prompts and responses. */
  readonly totalTokens: number;
  readonly stepSeconds: number;
  readonly deviceCount: number;
  /** Memory in use on the host, by all processes. */
  readonly usedMemoryBytes: number;
  /** Most memory in use on a device so far. */
  readonly peakMemoryBytes: number;
}): Metrics {
  return {
    'perf/total_num_tokens': step.totalTokens,
    'perf/time_per_step': step.stepSeconds,
    'perf/throughput': step.totalTokens / (step.stepSeconds * step.deviceCount),
    'perf/max_memory_allocated_gb': step.peakMemoryBytes / 1024 ** 3,
    'perf/max_memory_reserved_gb': step.peakMemoryBytes / 1024 ** 3,
    'perf/cpu_memory_used_gb': step.usedMemoryBytes / 1024 ** 3,
  };
}

/**
 * One number a metric: the mean of its list, which holds an entry per micro-batch or per step of every worker.
 *
 * A metric without entries is left out.
 */
export function reduceMetrics(lists: Readonly<Record<string, readonly number[]>>): Metrics {
  const present = Object.entries(lists).filter(([, values]) => values.length > 0);
  return Object.fromEntries(present.map(([name, values]) => [name, meanOf(values)]));
}

/** Metric lists of several workers as one: entries at the same place are added. */
export function addMetricLists(
  workers: readonly Readonly<Record<string, readonly number[]>>[],
): Record<string, number[]> {
  const whole: Record<string, number[]> = {};
  for (const lists of workers) {
    for (const [name, values] of Object.entries(lists)) {
      const sums = (whole[name] ??= []);
      for (const [i, value] of values.entries()) sums[i] = (sums[i] ?? 0) + value;
    }
  }
  return whole;
}

/** `1 - var(R - V) / (var(R) + 1e-5)`, variances with n - 1: 1 when the critic is right, 0 when constant. */
function explainedVariance(returns: Float32Array, values: Float32Array): number {
  const errors = returns.map((value, t) => value - values[t]!);
  return 1 - varianceOf(errors) / (varianceOf(returns) + 1e-5);
}

function varianceOf(values: Float32Array): number {
  const mean = meanOf(values);
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0);
  return squares / (values.length - 1);
}

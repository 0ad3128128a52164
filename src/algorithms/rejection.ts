/**
 * Rejection of tokens and responses whose divergence from the rollouts' policy is out of bounds: the criteria of
 * verl's rollout correction, their spelling in its config, and their metrics.
 */
import { CxmindError } from '../errors.ts';
import { clamp, LOG_RATIO_BOUND } from './clamp.ts';
import {
  f32,
  isCounted,
  maskedMean,
  rowMeans,
  rowSums,
  spread,
  type TokenRows,
} from './primitives.ts';
import {
  countedRows,
  countedValues,
  least,
  meanOf,
  most,
  rowMaxima,
  type Statistics,
} from './token-statistics.ts';

/** An estimate of the divergence at one token from `x = oldLogProbs - rolloutLogProbs`, nats. */
type Divergence = (x: number) => number;
/** One value for each response, f32 `[B]`, from one for each token, f32 `[T]`. */
type RowReduction = (values: Float32Array, rows: TokenRows) => Float32Array;

const k1: Divergence = (x) => -x;
const k2: Divergence = (x) => f32(0.5 * f32(x * x));
const k3: Divergence = (x) => f32(f32(f32(Math.exp(x)) - 1) - x);

/**
 * The criteria of rejection by their config name: a divergence, at each token or reduced over a response.
 *
 * `k1` is bounded on both sides, by ratios; `seq_mean_k1` thus bounds the geometric mean of a response's ratios.
 * `k2` and `k3` are never negative and bounded above.
 */
const criteria = {
  token_k1: { divergence: k1, reduction: null, isTwoSided: true },
  token_k2: { divergence: k2, reduction: null, isTwoSided: false },
  token_k3: { divergence: k3, reduction: null, isTwoSided: false },
  seq_sum_k1: { divergence: k1, reduction: rowSums, isTwoSided: true },
  seq_sum_k2: { divergence: k2, reduction: rowSums, isTwoSided: false },
  seq_sum_k3: { divergence: k3, reduction: rowSums, isTwoSided: false },
  seq_mean_k1: { divergence: k1, reduction: rowMeans, isTwoSided: true },
  seq_mean_k2: { divergence: k2, reduction: rowMeans, isTwoSided: false },
  seq_mean_k3: { divergence: k3, reduction: rowMeans, isTwoSided: false },
  seq_max_k2: { divergence: k2, reduction: rowMaxima, isTwoSided: false },
  seq_max_k3: { divergence: k3, reduction: rowMaxima, isTwoSided: false },
} as const satisfies Readonly<
  Record<string, { divergence: Divergence; reduction: RowReduction | null; isTwoSided: boolean }>
>;
type RejectionCriterion = keyof typeof criteria;

/** A criterion with its bounds. */
export interface Rejection {
  readonly criterion: RejectionCriterion;
  /** Smallest ratio of a two-sided criterion, above 0; ignored by the others. */
  readonly lower: number;
  /** Largest ratio of a two-sided criterion, else the largest divergence in nats. */
  readonly upper: number;
}

/**
 * Reads criteria as verl's config writes them: names and thresholds, each a list with commas.
 *
 * One threshold holds for all criteria. `0.5_2` is a lower and an upper ratio; a two-sided criterion with one number has
 * its reciprocal as the lower one.
 *
 * @throws CONFIG_INVALID for an unknown name, a number that is not above 0, or a count that differs
 */
export function rejectionsOf(
  names: string | null,
  thresholds: string | number | null,
): Rejection[] {
  const items = (text: string | number | null): string[] =>
    String(text ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  const [criteriaNames, bounds] = [[...new Set(items(names))], items(thresholds)];
  if (criteriaNames.length > 0 && ![1, criteriaNames.length].includes(bounds.length)) {
    throw invalid(
      `rollout_rs_threshold: expected one threshold, or one for each of ${criteriaNames.join(', ')}, got ${bounds.length}`,
    );
  }
  return criteriaNames.map((name, i) => {
    if (!Object.hasOwn(criteria, name)) {
      const known = Object.keys(criteria).join(', ');
      throw invalid(`rollout_rs: no criterion ${name}; there are ${known}`);
    }
    return boundedCriterion(name as RejectionCriterion, bounds[bounds.length === 1 ? 0 : i]!);
  });
}

function boundedCriterion(criterion: RejectionCriterion, bound: string): Rejection {
  const numbers = bound.split('_').map(Number);
  const { isTwoSided } = criteria[criterion];
  if (
    numbers.length > (isTwoSided ? 2 : 1) ||
    !numbers.every((number) => number > 0 && number < Infinity)
  ) {
    const expected = isTwoSided ? 'a number above 0, or two as in 0.5_2' : 'a number above 0';
    throw invalid(`rollout_rs_threshold: expected ${expected} for ${criterion}, got ${bound}`);
  }
  const upper = numbers.at(-1)!;
  return { criterion, lower: numbers.length === 2 ? numbers[0]! : 1 / upper, upper };
}

function invalid(message: string): CxmindError {
  return new CxmindError('CONFIG_INVALID', message);
}

/** The tokens that pass every criterion, and statistics of each criterion. */
export function rejectTokens(
  logRatios: Float32Array,
  rows: TokenRows,
  rejections: readonly Rejection[],
): { mask: Uint8Array | null; metrics: Statistics } {
  if (rejections.length === 0) return { mask: null, metrics: {} };
  const bounded = logRatios.map((x) => clamp(x, -LOG_RATIO_BOUND, LOG_RATIO_BOUND));
  const rejected = Float32Array.from(logRatios, (_, t) => Number(!isCounted(rows, t)));
  const metrics: Record<string, number> = {};
  for (const { criterion, lower, upper } of rejections) {
    const { divergence, reduction, isTwoSided } = criteria[criterion];
    const ofTokens = bounded.map(divergence);
    const ofRows = reduction?.(ofTokens, rows) ?? null;
    const statistic = ofRows === null ? ofTokens : spread(ofRows, rows);
    const [low, high] = isTwoSided ? [Math.log(lower), Math.log(upper)] : [-Infinity, upper];
    // A statistic that is NaN fails.
    const fails = statistic.map((value) => Number(!(value >= low && value <= high)));
    const looked = ofRows === null ? countedValues(statistic, rows) : countedRows(ofRows, rows);
    const name = `rollout_rs_${criterion}`;
    metrics[`${name}_mean`] = maskedMean(statistic, rows);
    metrics[`${name}_max`] = most(looked);
    metrics[`${name}_min`] = least(looked);
    metrics[`${name}_masked_fraction`] = maskedMean(fails, rows);
    metrics[`${name}_seq_masked_fraction`] = meanOf(rowMaxima(fails, rows));
    for (const [t, fail] of fails.entries()) if (fail === 1) rejected[t] = 1;
  }
  metrics['rollout_rs_masked_fraction'] = maskedMean(rejected, rows);
  metrics['rollout_rs_seq_masked_fraction'] = meanOf(rowMaxima(rejected, rows));
  return { mask: Uint8Array.from(rejected, (one) => 1 - one), metrics };
}

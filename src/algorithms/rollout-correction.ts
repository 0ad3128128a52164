import { CxmindError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { clamp } from './clamp.ts';
import {
  assertTokenLengths,
  EPSILON,
  isCounted,
  maskedMean,
  rowMaskSums,
  rowMeans,
  rowSums,
  sum,
  type TokenRows,
} from './primitives.ts';

const f32 = Math.fround;

/** Bound of a log ratio before it is exponentiated; e^20 is about 485 million. */
const SAFETY_BOUND = 20;

/** Levels of importance weights: a ratio for each token, or the product over a response for all of its tokens. */
export const importanceLevels = ['token', 'sequence'] as const;
export type ImportanceLevel = (typeof importanceLevels)[number];

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
export type RejectionCriterion = keyof typeof criteria;

/** Names of the criteria of rejection. */
export const rejectionCriteria = Object.keys(criteria) as RejectionCriterion[];

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
      throw invalid(`rollout_rs: no criterion ${name}; there are ${rejectionCriteria.join(', ')}`);
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
  return new CxmindError('CONFIG_INVALID', `algorithm.rollout_correction.${message}`);
}

/** The camelCase twins of verl's `algorithm.rollout_correction` keys. */
export interface RolloutCorrectionOptions {
  readonly rolloutIs: ImportanceLevel | null;
  /** Largest importance weight; larger ones are truncated to it. */
  readonly rolloutIsThreshold: number;
  /** Whether weights are divided by their mean over the batch. */
  readonly rolloutIsBatchNormalize: boolean;
  /** Tokens that fail any of these are rejected. */
  readonly rolloutRs: readonly Rejection[];
}

/** Log-probabilities of the sampled tokens, f32 `[T]` each, nats. */
export interface RolloutCorrectionInput extends TokenRows {
  /** Under the policy that is trained, before the step's first update. */
  readonly oldLogProbs: Float32Array;
  /** Under the policy that sampled. */
  readonly rolloutLogProbs: Float32Array;
}

/** What a batch is trained with instead. */
export interface RolloutCorrection {
  /** Factor on each token's policy loss, f32 `[T]`, 0 where masked; null without importance weights. */
  readonly weights: Float32Array | null;
  /** Tokens that still count, u8 `[T]` of 0 and 1; null where none is rejected. */
  readonly mask: Uint8Array | null;
  /** Metrics under verl's names, less the `rollout_corr/` prefix. */
  readonly metrics: Metrics;
}

/**
 * Corrects a batch for the mismatch between the policy that sampled it and the policy that is trained.
 *
 * Rollouts may compute in another precision, with other kernels or with the weights of an earlier step. With
 * `x = oldLogProbs - rolloutLogProbs` the ratio `ρ = e^x` says how far apart the two are at a token. Importance weights
 * are `min(ρ, threshold)`, of a token or of the product over a response. Rejection takes tokens or responses out of the
 * loss whose divergence is out of bounds. Metrics are there with neither.
 *
 * @throws SHAPE_MISMATCH when the lengths differ
 * @see verl's rollout correction; Ionides, Truncated Importance Sampling, 2008
 */
export function correctRollouts(
  input: RolloutCorrectionInput,
  options: RolloutCorrectionOptions,
): RolloutCorrection {
  const { oldLogProbs, rolloutLogProbs } = input;
  assertTokenLengths('correctRollouts', input, { oldLogProbs, rolloutLogProbs });
  const logRatios = oldLogProbs.map((value, t) => value - rolloutLogProbs[t]!);
  const importance = importanceWeights(logRatios, input, options);
  const rejection = rejectTokens(logRatios, input, options.rolloutRs);
  return {
    weights: options.rolloutIs === null ? null : importance.weights,
    mask: rejection.mask,
    metrics: { ...importance.metrics, ...rejection.metrics, ...mismatchMetrics(input, logRatios) },
  };
}

/** Truncated importance weights, and metrics of them before truncation; by token where no level is chosen. */
function importanceWeights(
  logRatios: Float32Array,
  rows: TokenRows,
  options: RolloutCorrectionOptions,
): { weights: Float32Array; metrics: Metrics } {
  const { rolloutIs, rolloutIsThreshold, rolloutIsBatchNormalize } = options;
  const upper = f32(rolloutIsThreshold);
  const level = rolloutIs ?? 'token';
  const logWeights = level === 'token' ? logRatios : spread(rowSums(logRatios, rows), rows);
  const full = counted(logWeights.map(boundedExp), rows);
  const metrics = importanceMetrics(full, logRatios, rows, level, upper);
  const weights = full.map((weight) => Math.min(weight, upper));
  if (rolloutIs === null || !rolloutIsBatchNormalize) return { weights, metrics };
  const mean =
    level === 'token'
      ? maskedMean(weights, rows)
      : meanOf(countedRows(rowMeans(weights, rows), rows));
  const factor = mean > EPSILON ? mean : 1;
  return {
    weights: weights.map((weight) => weight / factor),
    metrics: { ...metrics, rollout_is_batch_norm_factor: factor },
  };
}

/** Statistics of the weights, most of them with weights clamped to `[1 / upper, upper]`. */
function importanceMetrics(
  weights: Float32Array,
  logRatios: Float32Array,
  rows: TokenRows,
  level: ImportanceLevel,
  upper: number,
): Metrics {
  const lower = f32(1 / upper);
  const clamped = weights.map((weight) => clamp(weight, lower, upper));
  const mean = maskedMean(clamped, rows);
  const variance = maskedMean(squares(clamped), rows) - f32(mean * mean);
  const share = f32(mean + EPSILON);
  const ofRows = rowMeans(weights, rows);
  const ofTokens = countedValues(weights, rows);
  // A product over a response may be far out of bounds, so its own logarithm is looked at, once a response.
  const looked = level === 'token' ? ofTokens : countedRows(rowSums(logRatios, rows), rows);
  const [high, low] = level === 'token' ? [upper, lower] : [Math.log(upper), Math.log(lower)];
  return {
    rollout_is_mean: maskedMean(weights, rows),
    rollout_is_max:
      level === 'token' ? most(ofTokens) : Math.exp(Math.min(most(looked), SAFETY_BOUND)),
    rollout_is_min: level === 'token' ? least(ofTokens) : Math.exp(least(looked)),
    rollout_is_std: Math.sqrt(Math.max(variance, 0)),
    rollout_is_eff_sample_size: 1 / maskedMean(squares(clamped.map((w) => w / share)), rows),
    rollout_is_ratio_fraction_high: shareOf(looked, (value) => value > high),
    rollout_is_ratio_fraction_low: shareOf(looked, (value) => value < low),
    rollout_is_seq_mean: meanOf(ofRows),
    rollout_is_seq_std: deviationOf(ofRows),
    rollout_is_seq_max: most(ofRows),
    rollout_is_seq_min: least(ofRows),
    rollout_is_seq_max_deviation: most(ofRows.map((value) => Math.abs(value - 1))),
    rollout_is_seq_fraction_high: shareOf(ofRows, (value) => value > upper),
    rollout_is_seq_fraction_low: shareOf(ofRows, (value) => value < lower),
  };
}

/** The tokens that pass every criterion, and how many of the others each criterion found. */
function rejectTokens(
  logRatios: Float32Array,
  rows: TokenRows,
  rejections: readonly Rejection[],
): { mask: Uint8Array | null; metrics: Metrics } {
  if (rejections.length === 0) return { mask: null, metrics: {} };
  const bounded = logRatios.map((x) => clamp(x, -SAFETY_BOUND, SAFETY_BOUND));
  const kept = Float32Array.from(logRatios, (_, t) => Number(isCounted(rows, t)));
  const metrics: Metrics = {};
  for (const { criterion, lower, upper } of rejections) {
    const { divergence, reduction, isTwoSided: hasLower } = criteria[criterion];
    const ofTokens = bounded.map(divergence);
    const ofRows = reduction?.(ofTokens, rows) ?? null;
    const statistic = ofRows === null ? ofTokens : spread(ofRows, rows);
    const [low, high] = hasLower ? [Math.log(lower), Math.log(upper)] : [-Infinity, upper];
    const passes = statistic.map((value) => Number(value >= low && value <= high));
    const looked = ofRows === null ? countedValues(statistic, rows) : countedRows(ofRows, rows);
    const name = `rollout_rs_${criterion}`;
    metrics[`${name}_mean`] = maskedMean(statistic, rows);
    metrics[`${name}_max`] = most(looked);
    metrics[`${name}_min`] = least(looked);
    metrics[`${name}_masked_fraction`] = failedTokens(passes, rows);
    metrics[`${name}_seq_masked_fraction`] = failedRows(passes, rows);
    for (const [t, pass] of passes.entries()) kept[t]! *= pass;
  }
  metrics['rollout_rs_masked_fraction'] = failedTokens(kept, rows);
  metrics['rollout_rs_seq_masked_fraction'] = failedRows(kept, rows);
  return { mask: Uint8Array.from(kept), metrics };
}

/** How far the two policies are apart: KL, perplexities by response, and χ². */
function mismatchMetrics(input: RolloutCorrectionInput, logRatios: Float32Array): Metrics {
  const ofOld = rowMeans(input.oldLogProbs, input);
  const ofRollout = rowMeans(input.rolloutLogProbs, input);
  const difference = ofRollout.map((value, i) => value - ofOld[i]!);
  const ratios = logRatios.map(boundedExp);
  const ofRows = rowSums(logRatios, input).map((x) => clamp(x, -SAFETY_BOUND, SAFETY_BOUND));
  return {
    kl: -maskedMean(logRatios, input),
    k3_kl: maskedMean(
      logRatios.map((x) => f32(f32(Math.exp(x)) - x) - 1),
      input,
    ),
    training_ppl: meanOf(ofOld.map((mean) => Math.exp(-mean))),
    training_log_ppl: -meanOf(ofOld),
    rollout_ppl: meanOf(ofRollout.map((mean) => Math.exp(-mean))),
    rollout_log_ppl: -meanOf(ofRollout),
    log_ppl_diff: meanOf(difference),
    log_ppl_abs_diff: meanOf(difference.map(Math.abs)),
    log_ppl_diff_max: most(difference),
    log_ppl_diff_min: least(difference),
    ppl_ratio: meanOf(difference.map(Math.exp)),
    chi2_token: maskedMean(squares(ratios), input) - 1,
    chi2_seq: meanOf(ofRows.map((x) => Math.exp(2 * x))) - 1,
  };
}

function boundedExp(x: number): number {
  return Math.exp(clamp(x, -SAFETY_BOUND, SAFETY_BOUND));
}

function squares(values: Float32Array): Float32Array {
  return values.map((value) => value * value);
}

/** The values with 0 at masked tokens. */
function counted(values: Float32Array, rows: TokenRows): Float32Array {
  return values.map((value, t) => (isCounted(rows, t) ? value : 0));
}

/** The values of tokens that count, `[ΣM]`. */
function countedValues(values: Float32Array, rows: TokenRows): Float32Array {
  return values.filter((_, t) => isCounted(rows, t));
}

/** One value of each row, f32 `[B]`, at every token of the row, f32 `[T]`. */
function spread(ofRows: Float32Array, { offsets }: TokenRows): Float32Array {
  const values = new Float32Array(offsets.at(-1) ?? 0);
  for (const [i, value] of ofRows.entries()) values.fill(value, offsets[i], offsets[i + 1]);
  return values;
}

/** The values of rows that have a token that counts. */
function countedRows(ofRows: Float32Array, rows: TokenRows): Float32Array {
  const counts = rowMaskSums(rows);
  return ofRows.filter((_, i) => counts[i]! > 0);
}

/** Largest value of each row over its tokens that count, f32 `[B]`; 0 for a row without any. */
function rowMaxima(values: Float32Array, rows: TokenRows): Float32Array {
  return Float32Array.from(rowMaskSums(rows), (count, i) => {
    let largest = count === 0 ? 0 : -Infinity;
    for (let t = rows.offsets[i]!; t < rows.offsets[i + 1]!; t++) {
      if (isCounted(rows, t)) largest = Math.max(largest, values[t]!);
    }
    return largest;
  });
}

function most(values: Float32Array): number {
  return values.reduce((largest, value) => Math.max(largest, value), -Infinity);
}

function least(values: Float32Array): number {
  return values.reduce((smallest, value) => Math.min(smallest, value), Infinity);
}

function meanOf(values: Float32Array): number {
  return sum(values) / values.length;
}

/** Standard deviation with `n - 1`; 0 for a single value. */
function deviationOf(values: Float32Array): number {
  if (values.length < 2) return 0;
  const mean = meanOf(values);
  return Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1));
}

function shareOf(values: Float32Array, matches: (value: number) => boolean): number {
  return values.filter(matches).length / values.length;
}

/** Share of the tokens that count that do not pass. */
function failedTokens(passes: Float32Array, rows: TokenRows): number {
  return maskedMean(
    passes.map((pass) => 1 - pass),
    rows,
  );
}

/** Share of the rows of which some token does not pass. */
function failedRows(passes: Float32Array, rows: TokenRows): number {
  return meanOf(
    rowMaxima(
      passes.map((pass) => 1 - pass),
      rows,
    ),
  );
}

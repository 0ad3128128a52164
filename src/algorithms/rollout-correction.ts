/**
 * Correction of a batch for rollouts whose policy is not quite the learners': verl's rollout correction, with
 * truncated importance weights, rejection (`rejection.ts`) and statistics of the mismatch.
 */
import { clamp, LOG_RATIO_BOUND } from './clamp.ts';
import {
  assertTokenLengths,
  EPSILON,
  f32,
  maskedMean,
  rowMeans,
  rowSums,
  spread,
  type TokenRows,
  zeroMasked,
} from './primitives.ts';
import { rejectTokens, type Rejection } from './rejection.ts';
import {
  countedRows,
  countedValues,
  deviationOf,
  least,
  meanOf,
  most,
  shareOf,
  squares,
  type Statistics,
} from './token-statistics.ts';

/** Levels of importance weights: a ratio for each token, or the product over a response for all of its tokens. */
export const importanceLevels = ['token', 'sequence'] as const;
/** Config name of a level of importance weights. */
export type ImportanceLevel = (typeof importanceLevels)[number];

/** The camelCase twins of verl's `algorithm.rollout_correction` keys. */
export interface RolloutCorrectionOptions {
  readonly rolloutIs: ImportanceLevel | null;
  /** Largest importance weight; larger ones are truncated to it. */
  readonly rolloutIsThreshold: number;
  /** Divides the weights by their mean over the batch. */
  readonly rolloutIsBatchNormalize: boolean;
  /** Tokens that fail any of these are rejected. */
  readonly rolloutRs: readonly Rejection[];
}

/** Log-probabilities of the sampled tokens, f32 `[T]` each, nats. */
export interface RolloutCorrectionInput extends TokenRows {
  /** Log-probabilities under the policy that is trained, before the step's first update. */
  readonly oldLogProbs: Float32Array;
  /** Log-probabilities under the policy that sampled. */
  readonly rolloutLogProbs: Float32Array;
}

/** Corrections of a batch's loss: weights of its tokens, and the tokens that still count. */
export interface RolloutCorrection {
  /** Factor on each token's policy loss, f32 `[T]`, 0 where masked; null without importance weights. */
  readonly weights: Float32Array | null;
  /** Tokens that still count, u8 `[T]` of 0 and 1; null where none is rejected. */
  readonly mask: Uint8Array | null;
  /** Statistics under verl's names, less the `rollout_corr/` prefix. */
  readonly metrics: Statistics;
}

/**
 * Corrects a batch for the mismatch between the policy that sampled it and the policy that is trained.
 *
 * Rollouts may compute in another precision, with other kernels or with the weights of an earlier step. With
 * `x = oldLogProbs - rolloutLogProbs` the ratio `ρ = e^x` says how far apart the two are at a token. Importance weights
 * are `min(ρ, threshold)`, of a token or of the product over a response. Rejection takes tokens or responses out of the
 * loss whose divergence is out of bounds. Statistics are there with neither.
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
  const rowLogRatios = rowSums(logRatios, input);
  const ratios = { ...input, logRatios, rowLogRatios };
  const importance = importanceWeights(ratios, options);
  const rejection = rejectTokens(logRatios, input, options.rolloutRs);
  return {
    weights: importance.weights,
    mask: rejection.mask,
    metrics: { ...importance.metrics, ...rejection.metrics, ...distanceMetrics(ratios) },
  };
}

/** A batch with its log ratios `oldLogProbs - rolloutLogProbs`. */
interface BatchLogRatios extends RolloutCorrectionInput {
  /** f32 `[T]`. */
  readonly logRatios: Float32Array;
  /** Sums over the responses, f32 `[B]`. */
  readonly rowLogRatios: Float32Array;
}

/** Truncated importance weights, and metrics of them before truncation; by token where no level is chosen. */
function importanceWeights(
  ratios: BatchLogRatios,
  options: RolloutCorrectionOptions,
): { weights: Float32Array | null; metrics: Statistics } {
  const { rolloutIs, rolloutIsThreshold, rolloutIsBatchNormalize } = options;
  const upper = f32(rolloutIsThreshold);
  const level = rolloutIs ?? 'token';
  const { logRatios, rowLogRatios } = ratios;
  const logWeights = level === 'token' ? logRatios : spread(rowLogRatios, ratios);
  const full = zeroMasked(logWeights.map(boundedExp), ratios);
  const metrics = importanceMetrics(full, ratios, level, upper);
  if (rolloutIs === null) return { weights: null, metrics };
  const weights = full.map((weight) => Math.min(weight, upper));
  if (!rolloutIsBatchNormalize) return { weights, metrics };
  const mean =
    level === 'token'
      ? maskedMean(weights, ratios)
      : meanOf(countedRows(rowMeans(weights, ratios), ratios));
  const factor = mean > EPSILON ? mean : 1;
  return {
    weights: weights.map((weight) => weight / factor),
    metrics: { ...metrics, rollout_is_batch_norm_factor: factor },
  };
}

/** Statistics of the weights, most of them with weights clamped to `[1 / upper, upper]`. */
function importanceMetrics(
  weights: Float32Array,
  rows: BatchLogRatios,
  level: ImportanceLevel,
  upper: number,
): Statistics {
  const lower = f32(1 / upper);
  const clamped = weights.map((weight) => clamp(weight, lower, upper));
  const mean = maskedMean(clamped, rows);
  const variance = maskedMean(squares(clamped), rows) - f32(mean * mean);
  const share = f32(mean + EPSILON);
  const ofRows = rowMeans(weights, rows);
  const ofTokens = countedValues(weights, rows);
  // A product over a response may be far out of bounds, so its own logarithm is looked at, once a response.
  const looked = level === 'token' ? ofTokens : countedRows(rows.rowLogRatios, rows);
  const [high, low] = level === 'token' ? [upper, lower] : [Math.log(upper), Math.log(lower)];
  return {
    rollout_is_mean: maskedMean(weights, rows),
    rollout_is_max:
      level === 'token' ? most(ofTokens) : Math.exp(Math.min(most(looked), LOG_RATIO_BOUND)),
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

/** Distances between the two policies: KL, perplexities by response, and χ². */
function distanceMetrics(ratios: BatchLogRatios): Statistics {
  const ofOld = rowMeans(ratios.oldLogProbs, ratios);
  const ofRollout = rowMeans(ratios.rolloutLogProbs, ratios);
  const difference = ofRollout.map((value, i) => value - ofOld[i]!);
  const { logRatios, rowLogRatios } = ratios;
  const ofRows = rowLogRatios.map((x) => clamp(x, -LOG_RATIO_BOUND, LOG_RATIO_BOUND));
  return {
    kl: -maskedMean(logRatios, ratios),
    k3_kl: maskedMean(
      logRatios.map((x) => f32(f32(Math.exp(x)) - x) - 1),
      ratios,
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
    chi2_token: maskedMean(squares(logRatios.map(boundedExp)), ratios) - 1,
    chi2_seq: meanOf(ofRows.map((x) => Math.exp(2 * x))) - 1,
  };
}

function boundedExp(x: number): number {
  return Math.exp(clamp(x, -LOG_RATIO_BOUND, LOG_RATIO_BOUND));
}

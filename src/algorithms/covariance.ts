/**
 * Tokens that a loss singles out because the covariance of their log-probability and advantage is high: updates at such
 * tokens lower the policy's entropy most.
 *
 * Covariances are those of a micro-batch, as in verl. Importance weights of rollouts multiply the advantages, so they are
 * part of the covariances, and not of KL-Cov's penalty; in verl it is the other way round.
 *
 * @see Clip-Cov and KL-Cov, arXiv:2505.22617
 */
import { keyOf, Rng } from '../rng.ts';
import type { ClipRange } from './log-ratios.ts';
import { f32, isCounted, maskedMean, sum, tokenCount, type TokenRows } from './primitives.ts';

/** Options of the choice: camelCase twins of `worker.actor` keys. */
export interface CovarianceOptions extends ClipRange {
  /** Share of the tokens that Clip-Cov leaves out, at least one of them. */
  readonly clipCovRatio: number;
  /** Bounds of the covariances that Clip-Cov chooses from, both exclusive. */
  readonly clipCovLb: number;
  readonly clipCovUb: number;
  /** Share of the tokens that KL-Cov penalizes, at least one of them. */
  readonly klCovRatio: number;
}

/** A micro-batch, as the choice depends on it; arrays are f32 `[T]`. */
interface CovarianceInput extends TokenRows {
  readonly logProbs: Float32Array;
  /** `logProbs - oldLogProbs`, nats. */
  readonly differences: Float32Array;
  readonly advantages: Float32Array;
}

/** A rule that chooses tokens of a micro-batch: u8 `[T]`, 1 where one is chosen. */
export type TokenChoice = (input: CovarianceInput, options: CovarianceOptions) => Uint8Array;

/**
 * Clip-Cov's choice: some of the tokens whose covariance lies between the bounds, drawn at random. Tokens that the
 * ratio's own clip holds are not among them.
 *
 * The draw is seeded with the micro-batch's numbers, so the same micro-batch has the same loss again.
 */
export const drawnBetweenBounds: TokenChoice = (input, options) => {
  const { differences, advantages, logProbs } = input;
  const { clipCovRatio, clipCovLb, clipCovUb } = options;
  const [low, high] = [1 - options.clipRatioLow, 1 + options.clipRatioHigh];
  const isClipped = (t: number): boolean => {
    const ratio = Math.exp(differences[t]!);
    return advantages[t]! > 0 ? ratio > high : advantages[t]! < 0 && ratio < low;
  };
  const covariances = covariancesOf(input);
  const counted = countedTokens(input);
  const candidates = counted.filter(
    (t) => covariances[t]! > clipCovLb && covariances[t]! < clipCovUb && !isClipped(t),
  );
  const wanted = Math.max(1, Math.floor(clipCovRatio * counted.length));
  const totals = [sum(counted.map((t) => logProbs[t]!)), sum(counted.map((t) => advantages[t]!))];
  const rng = new Rng(keyOf('clip_cov', ...new Int32Array(Float64Array.from(totals).buffer)));
  const chosen = new Uint8Array(tokenCount(input));
  for (let i = 0; i < Math.min(wanted, candidates.length); i++) {
    const j = i + rng.nextBelow(candidates.length - i);
    chosen[candidates[j]!] = 1;
    candidates[j] = candidates[i]!;
  }
  return chosen;
};

/** KL-Cov's choice: the tokens of the highest covariances; of equal ones the first. */
export const highestCovariances: TokenChoice = (input, { klCovRatio }) => {
  const covariances = covariancesOf(input);
  const ranked = countedTokens(input).sort((a, b) => covariances[b]! - covariances[a]! || a - b);
  const wanted = Math.max(1, Math.floor(klCovRatio * ranked.length));
  const chosen = new Uint8Array(tokenCount(input));
  for (const t of ranked.slice(0, wanted)) chosen[t] = 1;
  return chosen;
};

/** The product of the advantage's and the log-probability's distances to their means, at each token, f32 `[T]`. */
function covariancesOf(input: CovarianceInput): Float32Array {
  const { advantages, logProbs } = input;
  const [meanAdvantage, meanLogProb] = [maskedMean(advantages, input), maskedMean(logProbs, input)];
  return advantages.map(
    (advantage, t) => f32(advantage - meanAdvantage) * f32(logProbs[t]! - meanLogProb),
  );
}

/** Positions of the tokens that count, rising. */
function countedTokens(rows: TokenRows): number[] {
  return Array.from({ length: tokenCount(rows) }, (_, t) => t).filter((t) => isCounted(rows, t));
}

/**
 * The policy losses by name: the loss of each at a token, the log ratio that it is of, and its average.
 *
 * `default`, `gspo`, `gspo_token`, `cispo` and `sapo` give the numbers of EasyR1, the others those of verl or TRL.
 *
 * `f32` stands where their tensors round; `primitives.ts` has the rule. Derivatives are written by hand, and the tests
 * check them by finite differences.
 *
 * `policyLoss` (`policy-loss.ts`) makes a loss of its kind in these steps:
 * 1. `logRatiosOf` makes the log ratio of each token from `logProbs - oldLogProbs`.
 * 2. `tokenLossOf` gives the loss at each token, and its derivative by that log ratio or by the log-probability.
 * 3. The losses are averaged, and derivatives weighted by their share in the average.
 * 4. Derivatives by log ratios go back to log-probabilities, by the rule of step 1.
 *
 * In formulas, A is the advantage, ℓ the log ratio, `ρ = e^ℓ` the ratio and ρc the clipped ratio.
 */
import { clamp, clampDerivative, LOG_RATIO_BOUND } from './clamp.ts';
import {
  drawnBetweenBounds,
  highestCovariances,
  type CovarianceOptions,
  type TokenChoice,
} from './covariance.ts';
import {
  clippedMeanLogRatios,
  meanLogRatios,
  meanLogRatiosByToken,
  tokenLogRatios,
  responseLogRatios,
  type ClipRange,
  type LogRatioRule,
} from './log-ratios.ts';
import type { LossAverageMode } from './loss-average.ts';
import { f32 } from './primitives.ts';
import { importanceLevels, type ImportanceLevel } from './rollout-correction.ts';

/** Options of the losses: camelCase twins of `worker.actor` keys. */
export interface TokenLossOptions extends ClipRange, CovarianceOptions {
  /** C of dual clipping. Where the advantage A is negative, the loss of a token is at most `-A·C`. */
  readonly clipRatioDual: number;
  /** SAPO's temperature at advantages of 0 and more. */
  readonly tauPositive: number;
  /** SAPO's temperature at negative advantages. */
  readonly tauNegative: number;
  /** Exponents k of VESPO's weight, at advantages of 0 and more and at negative ones. */
  readonly vespoKPos: number;
  readonly vespoKNeg: number;
  /** Decays λ of VESPO's weight, at advantages of 0 and more and at negative ones. */
  readonly vespoLambdaPos: number;
  readonly vespoLambdaNeg: number;
  /** Weight of KL-Cov's penalty. */
  readonly ppoKlCoef: number;
}

/** Metrics that some losses measure at each token, by name, with the average that makes one number of them. */
export const lossMeasures = {
  /** Share of tokens whose clipped loss won; of `geo_mean`, those clipped under a positive advantage. */
  pg_clipfrac_higher: 'token',
  /** Share of tokens that dual clipping changed; of `geo_mean`, those clipped under a negative advantage. */
  pg_clipfrac_lower: 'token',
  /** Share of tokens that Clip-Cov leaves out, or KL-Cov penalizes. */
  pg_clipfrac: 'token',
  /** Mean over responses of VESPO's weight φ. */
  phi_seq_mean: 'seq-mean-token-mean',
} as const satisfies Record<string, LossAverageMode>;

/** Name of a metric that some losses measure. */
export type LossMeasure = keyof typeof lossMeasures;

/** A sampled token, as losses see it. */
interface SampledToken {
  readonly advantage: number;
  /** Log ratio ℓ that the loss's rule (`logRatiosOf`) gives the token, nats. */
  readonly logRatio: number;
  /** Log ratio of the token alone, nats. */
  readonly ownLogRatio: number;
  /** Log-probability under the policy that is trained, nats. */
  readonly logProb: number;
  /** True where the loss's `singleOut` has singled the token out. */
  readonly isSingledOut: boolean;
}

/** The loss at one token, its derivative, and its measures. */
interface TokenLoss {
  readonly loss: number;
  /**
   * Derivative by the log ratio; by the log-probability where the loss holds the ratio constant (`cispo`, `gpg`, `vespo`).
   * The log ratios' rule turns the first into a derivative by the log-probability, and leaves the second as it is.
   */
  readonly derivative: number;
  /** Values of the loss's `measures`. */
  readonly measured: Readonly<Partial<Record<LossMeasure, number>>>;
}

type TokenLossFunction = (token: SampledToken) => TokenLoss;

interface PolicyLossKind {
  readonly tokenLossOf: (options: TokenLossOptions) => TokenLossFunction;
  readonly logRatiosOf: LogRatioRule;
  /** Rule that singles tokens out, for the loss to leave out or to penalize; null where it takes all alike. */
  readonly singleOut: TokenChoice | null;
  readonly measures: readonly LossMeasure[];
  /** Levels of rollouts' importance weights that it takes. */
  readonly weightLevels: readonly ImportanceLevel[];
  /**
   * Factor of the loss that an importance weight `w = π_old / π_rollout` multiplies:
   * - `advantage`: `A` becomes `w A`;
   * - `ratio`: `ρ = π / π_old` becomes `w ρ = π / π_rollout`.
   */
  readonly weightsMultiply: 'advantage' | 'ratio';
  /** The average that the loss is defined by; `loss_avg_mode` chooses where it is null. */
  readonly average: LossAverageMode | null;
}

const clipFractions = ['pg_clipfrac_higher', 'pg_clipfrac_lower'] as const;

/** PPO. Every other loss has its fields, but for those that it replaces. */
const ppo = {
  tokenLossOf: ppoLoss,
  logRatiosOf: tokenLogRatios,
  singleOut: null,
  measures: clipFractions,
  weightLevels: importanceLevels,
  weightsMultiply: 'advantage',
  average: null,
} as const;

/** The policy losses by their config name (`worker.actor.loss_type`). */
export const policyLosses = {
  /** PPO, under EasyR1's name. */
  default: ppo,
  /** PPO with one ratio for each response, the geometric mean of its tokens' ratios. */
  gspo: { ...ppo, logRatiosOf: meanLogRatios },
  /** GSPO in which each token has a gradient of its own. */
  gspo_token: { ...ppo, logRatiosOf: meanLogRatiosByToken },
  /** A policy gradient that a clipped ratio weighs. */
  cispo: { ...ppo, tokenLossOf: cispoLoss, measures: [] },
  /** PPO with a soft gate in place of the clip. */
  sapo: { ...ppo, tokenLossOf: sapoLoss, measures: [] },
  /** The policy gradient without any ratio. */
  gpg: { ...ppo, tokenLossOf: gpgLoss, measures: [] },
  /** GSPO whose responses count by their lengths. */
  luspo: { ...ppo, logRatiosOf: meanLogRatios, average: 'seq-mean-token-sum' },
  /** GMPO: one ratio for each response, of tokens' ratios that are clipped before their mean. */
  geo_mean: {
    ...ppo,
    tokenLossOf: gmpoLoss,
    logRatiosOf: clippedMeanLogRatios,
    weightLevels: ['sequence'],
    average: 'seq-mean-token-mean',
  },
  /** A policy gradient that a smooth function of the response's ratio weighs. */
  vespo: {
    ...ppo,
    tokenLossOf: vespoLoss,
    measures: ['phi_seq_mean'],
    logRatiosOf: responseLogRatios,
    weightLevels: ['token'],
    weightsMultiply: 'ratio',
  },
  /** PPO without the tokens that would take the entropy down most. */
  clip_cov: {
    ...ppo,
    tokenLossOf: clipCovLoss,
    measures: ['pg_clipfrac_higher', 'pg_clipfrac'],
    singleOut: drawnBetweenBounds,
  },
  /** No clip, but a penalty at the tokens that would take the entropy down most. */
  kl_cov: {
    ...ppo,
    tokenLossOf: klCovLoss,
    measures: ['pg_clipfrac'],
    singleOut: highestCovariances,
  },
} as const satisfies Record<string, PolicyLossKind>;

/** Config name of a policy loss. */
export type PolicyLossType = keyof typeof policyLosses;

/**
 * PPO's clipped surrogate (arXiv:1707.06347) with dual clip (arXiv:1912.09729): `max(-A·ρ, -A·ρc)`, for a negative
 * advantage at most `-A·C`.
 */
function ppoLoss(options: TokenLossOptions): TokenLossFunction {
  return surrogate(options, f32(options.clipRatioDual));
}

/** The loss at a token of a clipped surrogate. */
interface ClippedLoss extends TokenLoss {
  readonly measured: Readonly<Record<(typeof clipFractions)[number], number>>;
}

/** The clipped surrogate. @param dual C of dual clipping; null for no dual clip */
function surrogate(
  clip: ClipRange,
  dual: number | null,
): (token: Pick<SampledToken, 'advantage' | 'logRatio'>) => ClippedLoss {
  const [low, high] = logBounds(clip);
  return ({ advantage, logRatio }) => {
    const ratio = ratioOf(logRatio);
    const clippedRatio = f32(Math.exp(clamp(logRatio, low, high)));
    const plain = f32(-advantage * ratio);
    const clipped = f32(-advantage * clippedRatio);
    const higher = Math.max(plain, clipped);
    const cap = dual !== null && advantage < 0 ? f32(-advantage * dual) : Infinity;
    // The larger of the two decides the derivative; both do, half and half, where they are equal.
    const plainShare = maxDerivative(plain, clipped);
    const ratioDerivative =
      plainShare * ratioDerivativeOf(logRatio, ratio) +
      (1 - plainShare) * clippedRatio * clampDerivative(logRatio, low, high);
    return {
      loss: Math.min(higher, cap),
      derivative: -advantage * ratioDerivative * minDerivative(higher, cap),
      measured: {
        pg_clipfrac_higher: Number(plain < clipped),
        pg_clipfrac_lower: Number(higher > cap),
      },
    };
  };
}

/** CISPO (arXiv:2506.13585): `-A · ρc · logProb` with the clipped ratio held constant. */
function cispoLoss(options: TokenLossOptions): TokenLossFunction {
  const [low, high] = logBounds(options);
  return ({ advantage, logRatio, logProb }) => {
    const weight = f32(-advantage * f32(Math.exp(clamp(logRatio, low, high))));
    return unmeasured(f32(weight * logProb), weight);
  };
}

/**
 * SAPO (arXiv:2511.20347): `-A · (4/τ) · σ(τ·(ρ - 1))`. The factor `4/τ` is of options alone, so it is computed in f64
 * and rounded once.
 */
function sapoLoss({ tauPositive, tauNegative }: TokenLossOptions): TokenLossFunction {
  return ({ advantage, logRatio }) => {
    const tau = advantage >= 0 ? tauPositive : tauNegative;
    const ratio = ratioOf(logRatio);
    const gate = f32(1 / (1 + Math.exp(-f32(f32(tau) * f32(ratio - 1)))));
    const slope = 4 * gate * (1 - gate) * ratioDerivativeOf(logRatio, ratio);
    return unmeasured(f32(-advantage * f32(f32(4 / tau) * gate)), -advantage * slope);
  };
}

/**
 * The policy gradient itself, as in GPG (arXiv:2504.02546): `-A · logProb`. There is no ratio, and no bound of an update.
 */
function gpgLoss(): TokenLossFunction {
  return ({ advantage, logProb }) => unmeasured(f32(-advantage * logProb), -advantage);
}

/**
 * GMPO (arXiv:2507.20673): `-A · ρ`. Its clip is in the log ratios: `clippedMeanLogRatios` holds each between
 * `-clipRatioLow` and `clipRatioHigh`. A token is measured as clipped where its own log ratio is out of bounds, under an
 * advantage of either sign.
 */
function gmpoLoss({ clipRatioLow, clipRatioHigh }: TokenLossOptions): TokenLossFunction {
  const [low, high] = [f32(-clipRatioLow), f32(clipRatioHigh)];
  return ({ advantage, logRatio, ownLogRatio }) => {
    const ratio = ratioOf(logRatio);
    const isClipped = ownLogRatio < low || ownLogRatio > high;
    return {
      loss: f32(-advantage * ratio),
      derivative: -advantage * ratioDerivativeOf(logRatio, ratio),
      measured: {
        pg_clipfrac_higher: Number(isClipped && advantage > 0),
        pg_clipfrac_lower: Number(isClipped && advantage < 0),
      },
    };
  };
}

/**
 * VESPO (arXiv:2602.10693): `-A · φ(ρ) · logProb` with `φ(ρ) = ρ^k · e^{λ(1 - ρ)}` held constant, ρ being the ratio of
 * the whole response.
 *
 * So φ is 1 on-policy, and falls off on both sides of its peak at `ρ = k/λ`. `k` and `λ` go by the sign of the advantage.
 * The rule of its log ratio (`responseLogRatios`) bounds the ratio, so it is not clamped again.
 */
function vespoLoss(options: TokenLossOptions): TokenLossFunction {
  return ({ advantage, logRatio, logProb }) => {
    const isPositive = advantage >= 0;
    const k = f32(isPositive ? options.vespoKPos : options.vespoKNeg);
    const lambda = f32(isPositive ? options.vespoLambdaPos : options.vespoLambdaNeg);
    const ratio = f32(Math.exp(logRatio));
    const logPhi = f32(f32(lambda + f32(k * logRatio)) - f32(lambda * ratio)); // λ + kℓ - λρ
    const phi = f32(Math.exp(logPhi));
    const weight = f32(f32(-phi) * advantage);
    return { loss: f32(weight * logProb), derivative: weight, measured: { phi_seq_mean: phi } };
  };
}

/**
 * Clip-Cov (arXiv:2505.22617): the clipped surrogate without dual clip, and nothing at the tokens that are singled out.
 */
function clipCovLoss(options: TokenLossOptions): TokenLossFunction {
  const lossOf = surrogate(options, null);
  return (token) => {
    const { loss, derivative, measured } = lossOf(token);
    const { isSingledOut } = token;
    return {
      loss: isSingledOut ? 0 : loss,
      derivative: isSingledOut ? 0 : derivative,
      measured: {
        pg_clipfrac_higher: measured.pg_clipfrac_higher,
        pg_clipfrac: Number(isSingledOut),
      },
    };
  };
}

/**
 * KL-Cov (arXiv:2505.22617): `-A · ρ`, and at the tokens that are singled out a penalty `ppoKlCoef · |ℓ|`. There is no
 * clip.
 */
function klCovLoss({ ppoKlCoef }: TokenLossOptions): TokenLossFunction {
  const coef = f32(ppoKlCoef);
  return ({ advantage, logRatio, isSingledOut }) => {
    const ratio = ratioOf(logRatio);
    const plain = f32(-advantage * ratio);
    const slope = -advantage * ratioDerivativeOf(logRatio, ratio);
    return {
      loss: isSingledOut ? f32(plain + f32(coef * Math.abs(logRatio))) : plain,
      derivative: isSingledOut ? slope + coef * Math.sign(logRatio) : slope,
      measured: { pg_clipfrac: Number(isSingledOut) },
    };
  };
}

/** The loss of a type that measures nothing. */
function unmeasured(loss: number, derivative: number): TokenLoss {
  return { loss, derivative, measured: {} };
}

function ratioOf(logRatio: number): number {
  return f32(Math.exp(clamp(logRatio, -LOG_RATIO_BOUND, LOG_RATIO_BOUND)));
}

/** Derivative of a ratio by its logarithm: the ratio itself, or 0 where the logarithm was clamped. */
function ratioDerivativeOf(logRatio: number, ratio: number): number {
  return ratio * clampDerivative(logRatio, -LOG_RATIO_BOUND, LOG_RATIO_BOUND);
}

function logBounds({ clipRatioLow, clipRatioHigh }: ClipRange): [number, number] {
  return [f32(Math.log(1 - clipRatioLow)), f32(Math.log(1 + clipRatioHigh))];
}

/** Derivative of `min(a, b)` by a: one half where both are equal. */
function minDerivative(a: number, b: number): number {
  return maxDerivative(-a, -b);
}

/** Derivative of `max(a, b)` by a: one half where both are equal. */
function maxDerivative(a: number, b: number): number {
  if (a === b) return 0.5;
  return a > b ? 1 : 0;
}

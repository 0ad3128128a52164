/**
 * Policy losses and their gradients, with the numbers of EasyR1. `f32` stands where its tensors round; `primitives.ts`
 * has the rule.
 */
import { clamp, clampDerivative, LOG_RATIO_BOUND } from './clamp.ts';
import { estimateKl, type KlKind } from './kl.ts';
import {
  lossAverage,
  lossAverageWeights,
  type LossAverageOptions,
  type LossRows,
} from './loss-average.ts';
import {
  assertTokenLengths,
  EPSILON,
  f32,
  isCounted,
  maskedMean,
  rowMaskSums,
  rowMeans,
  spread,
  tokenCount,
  type TokenRows,
} from './primitives.ts';

/** One micro-batch of sampled tokens. Every array is f32 `[T]`; log-probabilities are in nats. */
export interface PolicyLossInput extends LossRows {
  /** Log-probabilities under the policy being trained. */
  readonly logProbs: Float32Array;
  /** Log-probabilities under the policy before the step's first update. */
  readonly oldLogProbs: Float32Array;
  readonly advantages: Float32Array;
  /** Log-probabilities under the reference policy. Without them there is no KL term. */
  readonly refLogProbs?: Float32Array | undefined;
}

/** Options of the policy loss: camelCase twins of EasyR1's `worker.actor` keys. */
export interface PolicyLossOptions extends LossAverageOptions {
  readonly lossType: PolicyLossType;
  /** ε below: the ratio's lower bound is `1 - clipRatioLow`. At 1 there is no lower bound. */
  readonly clipRatioLow: number;
  /** ε above: the ratio's upper bound is `1 + clipRatioHigh`. */
  readonly clipRatioHigh: number;
  /** C of dual clipping. Where the advantage A is negative, the loss of a token is at most `-A·C`. */
  readonly clipRatioDual: number;
  /** SAPO's temperature at advantages of 0 and more. */
  readonly tauPositive: number;
  /** SAPO's temperature at negative advantages. */
  readonly tauNegative: number;
  readonly useKlLoss: boolean;
  readonly klPenalty: KlKind;
  readonly klCoef: number;
}

/** Metrics of one micro-batch under EasyR1's names, less the `actor/` prefix. */
export interface PolicyLossMetrics {
  /** The loss without its KL term. */
  readonly pg_loss: number;
  /** Mean of `old - new` log-probability, nats. */
  readonly ppo_kl: number;
  /** Average of `-logProbs`, nats; a metric only, there is no entropy bonus. */
  readonly entropy_loss: number;
  /** Share of tokens whose clipped loss won; clipped loss types only. */
  readonly pg_clipfrac_higher?: number;
  /** Share of tokens that dual clipping changed; clipped loss types only. */
  readonly pg_clipfrac_lower?: number;
  /** Average KL estimate, nats; with `useKlLoss` only. */
  readonly kl_loss?: number;
}

/** A loss, its gradient, and what to log. */
export interface PolicyLoss {
  /** Policy loss plus KL term. */
  readonly loss: number;
  /** dLoss/dLogProbs, f32 `[T]`; 0 at masked tokens. */
  readonly gradient: Float32Array;
  readonly metrics: PolicyLossMetrics;
}

/** The loss at one token and its derivative with respect to the log importance ratio. */
interface TokenLoss {
  readonly loss: number;
  readonly derivative: number;
  readonly isClippedHigher: boolean;
  readonly isClippedLower: boolean;
}

/**
 * The policy loss of a micro-batch and its gradient with respect to the log-probabilities.
 *
 * The importance ratio is `ρ = e^ℓ`. The log ratio ℓ is `logProbs - oldLogProbs` at each token, or its mean over the
 * response for `gspo` and `gspo_token`. The clipped ratio ρc is `e^ℓ` with ℓ clamped to the logarithms of the
 * bounds. `default`, `gspo` and `gspo_token` are PPO's clipped surrogate with dual clipping; `cispo` weighs
 * log-probabilities by the clipped ratio, held constant; `sapo` has a sigmoid gate in place of the clip. Where two
 * branches are equal, each gets half the gradient, as in PyTorch.
 *
 * The gradient is written by hand, not derived from a graph: so only f32 `[T]` crosses to the device, and the numbers
 * equal EasyR1's. The tests check it by finite differences.
 *
 * @throws SHAPE_MISMATCH when the lengths differ
 * @see PPO arXiv:1707.06347; dual clip arXiv:1912.09729; GSPO arXiv:2507.18071; CISPO
 *   arXiv:2506.13585; SAPO arXiv:2511.20347; details as in EasyR1
 */
export function policyLoss(input: PolicyLossInput, options: PolicyLossOptions): PolicyLoss {
  const { logProbs, oldLogProbs, advantages, refLogProbs } = input;
  const { lossType } = options;
  const { tokenLossOf, isRatioPerResponse, reportsClipping } = policyLosses[lossType];
  assertTokenLengths('policyLoss', input, { logProbs, oldLogProbs, advantages, refLogProbs });
  const count = tokenCount(input);
  const tokenLoss = tokenLossOf(options);
  const difference = logProbs.map((logProb, t) => logProb - oldLogProbs[t]!);
  const logRatios = isRatioPerResponse ? responseMeans(difference, input) : difference;
  const weights = lossAverageWeights(input, options);
  const losses = new Float32Array(count);
  const gradient = new Float32Array(count);
  const clippedHigher = new Float32Array(count);
  const clippedLower = new Float32Array(count);
  for (let t = 0; t < count; t++) {
    const term = tokenLoss(advantages[t]!, logRatios[t]!, logProbs[t]!);
    losses[t] = term.loss;
    // A masked token may hold infinities, and 0 times those is not 0.
    gradient[t] = weights[t] === 0 ? 0 : weights[t]! * term.derivative;
    clippedHigher[t] = Number(term.isClippedHigher);
    clippedLower[t] = Number(term.isClippedLower);
  }
  // `gspo` differentiates the mean by all its tokens; `gspo_token` holds it constant and differentiates by the token's
  // own log-probability alone (GSPO, section 4.3).
  if (lossType === 'gspo') spreadOverResponse(gradient, input);

  const policyTerm = lossAverage(losses, input, options);
  const metrics: PolicyLossMetrics = {
    pg_loss: policyTerm,
    ppo_kl: -maskedMean(difference, input),
    entropy_loss: -lossAverage(logProbs, input, options),
    ...(reportsClipping && {
      pg_clipfrac_higher: maskedMean(clippedHigher, input),
      pg_clipfrac_lower: maskedMean(clippedLower, input),
    }),
  };
  if (!options.useKlLoss || refLogProbs === undefined) {
    return { loss: policyTerm, gradient, metrics };
  }
  const kl = estimateKl(logProbs, refLogProbs, options.klPenalty);
  const klTerm = lossAverage(kl.values, input, options);
  const klCoef = f32(options.klCoef);
  for (let t = 0; t < count; t++) {
    if (weights[t] !== 0) gradient[t]! += klCoef * weights[t]! * kl.derivatives[t]!;
  }
  return {
    loss: f32(policyTerm + f32(klCoef * klTerm)),
    gradient,
    metrics: { ...metrics, kl_loss: klTerm },
  };
}

type TokenLossFunction = (advantage: number, logRatio: number, logProb: number) => TokenLoss;

interface PolicyLossKind {
  readonly tokenLossOf: (options: PolicyLossOptions) => TokenLossFunction;
  /** True if the log ratio is a mean over the response. */
  readonly isRatioPerResponse: boolean;
  /** True if the metrics have the shares of clipped tokens. */
  readonly reportsClipping: boolean;
}

const ppo: PolicyLossKind = {
  tokenLossOf: clippedSurrogate,
  isRatioPerResponse: false,
  reportsClipping: true,
};

/** The policy losses by their config name (`worker.actor.loss_type`). */
export const policyLosses = {
  default: ppo,
  gspo: { ...ppo, isRatioPerResponse: true },
  gspo_token: { ...ppo, isRatioPerResponse: true },
  cispo: { tokenLossOf: clippedImportance, isRatioPerResponse: false, reportsClipping: false },
  sapo: { tokenLossOf: softGate, isRatioPerResponse: false, reportsClipping: false },
} as const satisfies Record<string, PolicyLossKind>;

type PolicyLossType = keyof typeof policyLosses;

/** PPO's clipped surrogate: `max(-A·ρ, -A·ρc)`, for a negative advantage at most `-A·C`. */
function clippedSurrogate(options: PolicyLossOptions): TokenLossFunction {
  const [low, high] = logBounds(options);
  const dual = f32(options.clipRatioDual);
  return (advantage, logRatio) => {
    const ratio = ratioOf(logRatio);
    const clippedRatio = f32(Math.exp(clamp(logRatio, low, high)));
    const plain = f32(-advantage * ratio);
    const clipped = f32(-advantage * clippedRatio);
    const cap = f32(-advantage * dual);
    const higher = Math.max(plain, clipped);
    const plainShare = maxDerivative(plain, clipped);
    const ratioDerivative =
      plainShare * ratioDerivativeOf(logRatio, ratio) +
      (1 - plainShare) * clippedRatio * clampDerivative(logRatio, low, high);
    const isNegative = advantage < 0;
    return {
      loss: isNegative ? Math.min(higher, cap) : higher,
      // The derivative of `min(higher, cap)` by `higher` is that of `max(-higher, -cap)` by `-higher`.
      derivative: -advantage * ratioDerivative * (isNegative ? maxDerivative(-higher, -cap) : 1),
      isClippedHigher: plain < clipped,
      isClippedLower: isNegative && higher > cap,
    };
  };
}

/** CISPO: `-A · ρc · logProb` with the clipped ratio held constant. */
function clippedImportance(options: PolicyLossOptions): TokenLossFunction {
  const [low, high] = logBounds(options);
  return (advantage, logRatio, logProb) => {
    const weight = f32(-advantage * f32(Math.exp(clamp(logRatio, low, high))));
    return withoutClipping(f32(weight * logProb), weight);
  };
}

/** SAPO: `-A · (4/τ) · σ(τ·(ρ - 1))`. The factor `4/τ` is between options, so it is rounded once. */
function softGate({ tauPositive, tauNegative }: PolicyLossOptions): TokenLossFunction {
  return (advantage, logRatio) => {
    const tau = advantage >= 0 ? tauPositive : tauNegative;
    const ratio = ratioOf(logRatio);
    const gate = f32(1 / (1 + Math.exp(-f32(f32(tau) * f32(ratio - 1)))));
    const slope = 4 * gate * (1 - gate) * ratioDerivativeOf(logRatio, ratio);
    return withoutClipping(f32(-advantage * f32(f32(4 / tau) * gate)), -advantage * slope);
  };
}

/** The loss of a type whose metrics count no clipped tokens. */
function withoutClipping(loss: number, derivative: number): TokenLoss {
  return { loss, derivative, isClippedHigher: false, isClippedLower: false };
}

function ratioOf(logRatio: number): number {
  return f32(Math.exp(clamp(logRatio, -LOG_RATIO_BOUND, LOG_RATIO_BOUND)));
}

/** Derivative of a ratio by its logarithm: the ratio itself, or 0 where the logarithm was clamped. */
function ratioDerivativeOf(logRatio: number, ratio: number): number {
  return ratio * clampDerivative(logRatio, -LOG_RATIO_BOUND, LOG_RATIO_BOUND);
}

function logBounds({ clipRatioLow, clipRatioHigh }: PolicyLossOptions): [number, number] {
  return [f32(Math.log(1 - clipRatioLow)), f32(Math.log(1 + clipRatioHigh))];
}

/** Derivative of `max(a, b)` by a: one half where both are equal. */
function maxDerivative(a: number, b: number): number {
  if (a === b) return 0.5;
  return a > b ? 1 : 0;
}

/** Each response's masked mean at all of its tokens, f32 `[T]`. */
function responseMeans(values: Float32Array, rows: TokenRows): Float32Array {
  return spread(rowMeans(values, rows), rows);
}

/**
 * Turns derivatives by a response's mean into derivatives by its tokens' values, in place: the chain rule of
 * `responseMeans`. The derivatives at a response's tokens add up, and each token that counts gets an equal part.
 */
function spreadOverResponse(gradient: Float32Array, rows: TokenRows): void {
  const counts = rowMaskSums(rows);
  for (let i = 0; i < counts.length; i++) {
    let total = 0;
    for (let t = rows.offsets[i]!; t < rows.offsets[i + 1]!; t++) total += gradient[t]!;
    for (let t = rows.offsets[i]!; t < rows.offsets[i + 1]!; t++) {
      gradient[t] = isCounted(rows, t) ? total / f32(counts[i]! + EPSILON) : 0;
    }
  }
}

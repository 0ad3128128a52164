/**
 * KL divergence from a reference: Schulman's estimators from one sampled token, with the clamps of EasyR1, and the
 * controller of its weight in rewards.
 */
import { clamp, clampDerivative, LOG_RATIO_BOUND } from './clamp.ts';
import { f32 } from './primitives.ts';

/** An estimate at one token, nats, and its derivative with respect to the policy's log-probability. */
interface KlTerm {
  readonly value: number;
  readonly derivative: number;
}

/**
 * The estimators of the KL divergence from one sampled token, by their config name (`algorithm.kl_penalty`).
 *
 * EasyR1's `full` wants log-probabilities of the whole vocabulary, which its own trainer never passes, so it is not
 * offered.
 */
export const klEstimators = {
  kl: (d) => ({ value: d, derivative: 1 }),
  abs: (d) => ({ value: Math.abs(d), derivative: Math.sign(d) }),
  mse: (d) => ({ value: f32(f32(d * d) / 2), derivative: d }),
  low_var_kl: lowVariance,
} as const satisfies Record<string, (difference: number) => KlTerm>;

/** Estimator of a KL divergence from sampled tokens, by its name in `algorithm.kl_penalty`. */
export type KlKind = keyof typeof klEstimators;

/** Schulman's k3, `e^x - x - 1` of `x = ref - lp`. Both clamps pass gradient on their closed interval. */
function lowVariance(difference: number): KlTerm {
  const x = clamp(-difference, -LOG_RATIO_BOUND, LOG_RATIO_BOUND);
  const exponential = f32(Math.exp(x));
  const value = f32(f32(exponential - x) - 1);
  const passes =
    clampDerivative(-difference, -LOG_RATIO_BOUND, LOG_RATIO_BOUND) *
    clampDerivative(value, -10, 10);
  return { value: clamp(value, -10, 10), derivative: passes * f32(1 - exponential) };
}

/** KL estimates per token with their derivatives with respect to `logProbs`. */
export interface KlEstimate {
  /** f32 `[T]`, nats. */
  readonly values: Float32Array;
  /** f32 `[T]`, unitless. */
  readonly derivatives: Float32Array;
}

/**
 * Estimates KL(policy ‖ reference) at every token from `d = logProbs - refLogProbs`.
 *
 * @param logProbs    f32 `[T]`, nats, of the policy
 * @param refLogProbs f32 `[T]`, nats, of the reference
 * @see http://joschu.net/blog/kl-approx.html; clamps as in EasyR1
 */
export function estimateKl(
  logProbs: Float32Array,
  refLogProbs: Float32Array,
  kind: KlKind,
): KlEstimate {
  const values = new Float32Array(logProbs.length);
  const derivatives = new Float32Array(logProbs.length);
  const estimate: (difference: number) => KlTerm = klEstimators[kind];
  for (let t = 0; t < logProbs.length; t++) {
    const term = estimate(f32(logProbs[t]! - refLogProbs[t]!));
    values[t] = term.value;
    derivatives[t] = term.derivative;
  }
  return { values, derivatives };
}

/** Controller of the KL coefficient when KL is part of the reward; plain data, which a checkpoint keeps. */
export type KlController =
  | { readonly kind: 'fixed'; readonly coef: number }
  | {
      readonly kind: 'adaptive';
      readonly coef: number;
      /** KL to steer towards, nats a token. */
      readonly target: number;
      /** Samples over which the coefficient moves by its own size, at an error of 1. */
      readonly horizon: number;
    };

/**
 * The controller after a batch: the fixed one as it was, the adaptive one with its coefficient moved
 * towards the target by at most 20 % of `sampleCount / horizon`. Float64.
 *
 * @param currentKl   mean over samples of each sample's mean KL, nats
 * @param sampleCount prompts times responses per prompt
 * @see Ziegler et al., arXiv:1909.08593, section 2.2
 */
export function updateKlController(
  controller: KlController,
  currentKl: number,
  sampleCount: number,
): KlController {
  if (controller.kind === 'fixed') return controller;
  const error = clamp(currentKl / controller.target - 1, -0.2, 0.2);
  const coef = controller.coef * (1 + (error * sampleCount) / controller.horizon);
  return { ...controller, coef };
}

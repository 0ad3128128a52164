/**
 * The policy's entropy in training: the weight of an entropy bonus, and tokens whose entropy is high.
 *
 * The weight is fixed, or adapts as in Skywork-OR1 (arXiv:2505.22312, section 4.3): it rises by a constant at each step
 * whose entropy is below a target and falls by it above, and it applies only at steps whose entropy is not above the
 * target. TRL's `use_adaptive_entropy` is the same rule, but each step goes by the entropy of the step before.
 */
import { clamp } from './clamp.ts';
import { f32, isCounted, type TokenRows } from './primitives.ts';
import { countedValues } from './token-statistics.ts';

/** The rule that a weight adapts by. */
export interface EntropyControl {
  /** Entropy to hold, nats per token. */
  readonly target: number;
  /** Change of the weight at each step. */
  readonly delta: number;
  readonly min: number;
  readonly max: number;
}

/** The weight of the bonus at this step, and the weight that the next step starts from. */
export interface EntropyWeight {
  readonly applied: number;
  readonly next: number;
}

/**
 * The weight of the entropy bonus at a step.
 *
 * @param entropy mean over the step's tokens, nats
 * @param control null where the weight is fixed
 */
export function entropyWeight(
  coeff: number,
  entropy: number,
  control: EntropyControl | null,
): EntropyWeight {
  if (control === null) return { applied: coeff, next: coeff };
  const { target, delta, min, max } = control;
  return {
    applied: entropy <= target ? coeff : 0,
    next: clamp(coeff - delta * Math.sign(entropy - target), min, max),
  };
}

/**
 * The least entropy of the given share of the tokens that have most: a quantile, interpolated between two tokens.
 *
 * @param entropies f32 `[T]`, nats
 * @param share     in [0, 1]; 0 is the highest entropy itself
 * @returns NaN where no token counts
 * @see Wang et al., arXiv:2506.01939; TRL's `top_entropy_quantile`, and torch's `quantile`
 */
export function entropyThreshold(entropies: Float32Array, rows: TokenRows, share: number): number {
  const sorted = countedValues(entropies, rows).sort();
  const place = f32(f32(1 - share) * (sorted.length - 1));
  const below = sorted[Math.floor(place)] ?? NaN;
  const above = sorted[Math.ceil(place)] ?? NaN;
  return f32(below + f32(f32(place - Math.floor(place)) * f32(above - below)));
}

/** The advantages with 0 at tokens whose entropy is below a threshold, f32 `[T]`. */
export function atHighEntropy(
  advantages: Float32Array,
  entropies: Float32Array,
  rows: TokenRows,
  threshold: number,
): Float32Array {
  return advantages.map((advantage, t) =>
    isCounted(rows, t) && entropies[t]! >= threshold ? advantage : 0,
  );
}

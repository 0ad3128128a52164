/**
 * The policy's entropy in a step: whether it is measured, the weight of its bonus, and tokens of low entropy that are
 * not trained on. The formulas are in `algorithms/entropy.ts`.
 */
import {
  atHighEntropy,
  entropyThreshold,
  entropyWeight,
  type EntropyControl,
} from '../algorithms/entropy.ts';
import { maskedMean, type TokenRows } from '../algorithms/primitives.ts';
import type { Metrics } from '../metrics.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { concatenate } from './experience.ts';

/** Uses of the policy's entropy: twins of keys of `worker.actor` and `algorithm`. */
export interface ExplorationOptions {
  /** Measures it though nothing else needs it. */
  readonly calculateEntropy: boolean;
  /** Weight of the entropy bonus, at the first step where it adapts. */
  readonly entropyCoeff: number;
  /** Null where the weight is fixed. */
  readonly control: EntropyControl | null;
  /** Share of the tokens, those of highest entropy, that the policy is trained on. */
  readonly topEntropyQuantile: number;
}

/** The tokens of a step before the update. */
export interface EntropyInput {
  readonly tokens: TokenRows;
  /** F32 `[T]` for each response, nats; null where nothing needs them. */
  readonly entropies: readonly Tensor<'f32'>[] | null;
  /** F32 `[T]` over all responses. */
  readonly advantages: Float32Array;
}

/** The part of entropy in a step's update. */
export interface EntropyTerms {
  /** Advantages, f32 `[T]` over all responses: 0 at tokens of low entropy where only others are trained on. */
  readonly advantages: Float32Array;
  /** Weight of the entropy bonus in this step's loss. */
  readonly entropyCoeff: number;
  /** Weight that the next step starts from; undefined where the weight is fixed. */
  readonly nextEntropyCoeff: number | undefined;
  readonly metrics: Metrics;
}

/** Tells whether a step has to measure the entropy of the policy's distributions. */
export function needsEntropies(options: ExplorationOptions): boolean {
  const { calculateEntropy, entropyCoeff, control, topEntropyQuantile } = options;
  return calculateEntropy || entropyCoeff !== 0 || control !== null || topEntropyQuantile < 1;
}

/**
 * Measures the entropy of the policy before the update, and says what follows from it for the update.
 *
 * Tokens of low entropy get the advantage 0 rather than a mask. Every policy loss is 0 there then, and averages divide by
 * all tokens, as in TRL. The threshold is that of the whole step and of the policy before the update; TRL looks at the
 * policy's entropies and the tokens of each pass. KL and the entropy bonus count all tokens.
 *
 * @param carried weight of the bonus that the step before has left; undefined at the first step
 */
export function entropyTerms(
  options: ExplorationOptions,
  { tokens, entropies, advantages }: EntropyInput,
  carried: number | undefined,
): EntropyTerms {
  const { control, topEntropyQuantile } = options;
  if (entropies === null) {
    return { advantages, entropyCoeff: 0, nextEntropyCoeff: undefined, metrics: {} };
  }
  const values = concatenate(entropies);
  const entropy = maskedMean(values, tokens);
  const coeff = (control === null ? undefined : carried) ?? options.entropyCoeff;
  const { applied, next } = entropyWeight(coeff, entropy, control);
  const isSelective = topEntropyQuantile < 1;
  const threshold = isSelective ? entropyThreshold(values, tokens, topEntropyQuantile) : -Infinity;
  return {
    advantages: isSelective ? atHighEntropy(advantages, values, tokens, threshold) : advantages,
    entropyCoeff: applied,
    nextEntropyCoeff: control === null ? undefined : next,
    metrics: {
      'actor/entropy': entropy,
      ...((control !== null || coeff !== 0) && { 'actor/entropy_coeff': applied }),
      ...(isSelective && { 'actor/entropy_threshold': threshold }),
    },
  };
}

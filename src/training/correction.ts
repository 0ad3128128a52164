/**
 * Correction of a step for rollouts whose policy is not quite the learners', applied to its advantages, ratios and
 * masks. The formulas are in `algorithms/rollout-correction.ts`.
 */
import type { TokenRows } from '../algorithms/primitives.ts';
import {
  correctRollouts,
  type RolloutCorrectionOptions,
} from '../algorithms/rollout-correction.ts';
import { countedValues } from '../algorithms/token-statistics.ts';
import { mismatchMetrics, prefixed, type Metrics } from '../metrics.ts';
import { vector, type Tensor } from '../tensor/tensor.ts';
import { concatenate, splitBy } from './experience.ts';

/** Options of the correction of a step. */
export interface StepCorrectionOptions extends RolloutCorrectionOptions {
  /** Factor of the policy loss that importance weights multiply; the advantage where it is left out. */
  readonly weightsMultiply?: 'advantage' | 'ratio';
}

/** The tokens of a step before the update. */
export interface MismatchInput {
  /** Rows of the responses. Text of an environment is masked and counts in nothing: the policy did not draw it. */
  readonly tokens: TokenRows;
  /** Log-probabilities under the policy that sampled, f32 `[T]` for each response. */
  readonly rolloutLogProbs: readonly Tensor<'f32'>[];
  /** Log-probabilities under the policy that is trained, f32 `[T]` for each response. */
  readonly oldLogProbs: readonly Tensor<'f32'>[];
  /** Advantages, f32 `[T]` over all responses. */
  readonly advantages: Float32Array;
}

/** A step that is corrected for its rollouts. */
export interface CorrectedStep {
  /** Advantages, f32 `[T]` over all responses, times the importance weights that are no part of the ratio. */
  readonly advantages: Float32Array;
  /** Log-probabilities that the ratio of the policy loss is to, and its `ppo_kl`, f32 `[T]` for each response. */
  readonly oldLogProbs: readonly Tensor<'f32'>[];
  /** Tokens that losses count, u8 `[T]` for each response; null where all do. */
  readonly masks: readonly Tensor<'u8'>[] | null;
  /** Metrics under `actor/rollout_train_mismatch/`, and as in verl under `rollout_corr/`. */
  readonly metrics: Metrics;
}

/**
 * Corrects a step for rollouts whose policy is not quite the learners'.
 *
 * Importance weights multiply the advantages rather than the losses. Every policy loss is linear in the advantage where
 * the factor is not negative, so this is the same. A loss that is not linear in the whole ratio to the policy that
 * sampled (`vespo`) has them in its ratio: there a token with the weight w has `log w` taken off its old log-probability.
 * Rejected tokens count in no loss. Advantages are estimated from all tokens, rejected ones among them; verl masks them
 * before.
 */
export function correctMismatch(
  options: StepCorrectionOptions,
  { tokens, rolloutLogProbs, oldLogProbs: old, advantages }: MismatchInput,
): CorrectedStep {
  const lengths = old.map(({ data }) => data.length);
  const [rollout, trained] = [concatenate(rolloutLogProbs), concatenate(old)];
  const input = { ...tokens, oldLogProbs: trained, rolloutLogProbs: rollout };
  const { weights, mask: kept, metrics } = correctRollouts(input, options);
  const mask = kept ?? tokens.mask ?? null;
  const [factors, ofRatio] =
    options.weightsMultiply === 'ratio' ? [null, weights] : [weights, null];
  return {
    advantages: factors === null ? advantages : advantages.map((a, t) => a * factors[t]!),
    oldLogProbs:
      ofRatio === null
        ? old
        : splitBy(withoutWeights(trained, ofRatio), lengths).map((part) => vector('f32', part)),
    masks: mask && splitBy(mask, lengths).map((part) => vector('u8', part)),
    metrics: {
      ...mismatchMetrics(countedValues(rollout, tokens), countedValues(trained, tokens)),
      ...prefixed('rollout_corr', metrics),
    },
  };
}

/**
 * The log-probabilities less the logarithm of their weights; as they are at tokens that do not count, whose weight is 0.
 */
function withoutWeights(logProbs: Float32Array, weights: Float32Array): Float32Array {
  return logProbs.map((value, t) => (weights[t] === 0 ? value : value - Math.log(weights[t]!)));
}

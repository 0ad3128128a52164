import { tokenRows } from '../algorithms/primitives.ts';
import {
  correctRollouts,
  type RolloutCorrectionOptions,
} from '../algorithms/rollout-correction.ts';
import { countedValues } from '../algorithms/token-statistics.ts';
import { mismatchMetrics, prefixed, type Metrics } from '../metrics.ts';
import { vector, type Tensor } from '../tensor/tensor.ts';
import { concatenate, splitBy } from './experience.ts';

export interface StepCorrectionOptions extends RolloutCorrectionOptions {
  /** Factor of the policy loss that importance weights multiply; the advantage where it is left out. */
  readonly weightsMultiply?: 'advantage' | 'ratio';
}

/** The correction of a step's rollouts. */
export interface StepCorrection {
  /** Multiplies advantages, f32 `[T]` over all responses, by the importance weights that are no part of the ratio. */
  readonly weigh: (advantages: Float32Array) => Float32Array;
  /** Log-probabilities that the ratio of the policy loss is to, and its `ppo_kl`, f32 `[T]` for each response. */
  readonly ratioBase: readonly Tensor<'f32'>[];
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
 * sampled (`vespo`) has them in its ratio: the base of that is `old` less `log w`, for a token's weight w. Rejected
 * tokens count in no loss. Advantages are estimated from all tokens, rejected ones among them; verl masks them before.
 *
 * @param rollout log-probabilities under the policy that sampled, f32 `[T]` for each response
 * @param old     those under the policy before the update
 * @param sampled the tokens that were sampled, u8 `[T]` over all responses: those of an environment between them have
 *   no probability under the policy, and count in nothing; all were where it is left out
 */
export function correctStep(
  options: StepCorrectionOptions,
  rollout: readonly Tensor<'f32'>[],
  old: readonly Tensor<'f32'>[],
  sampled?: Uint8Array,
): StepCorrection {
  const lengths = old.map(({ data }) => data.length);
  const rows = tokenRows(lengths, sampled);
  const [oldLogProbs, rolloutLogProbs] = [concatenate(old), concatenate(rollout)];
  const input = { ...rows, oldLogProbs, rolloutLogProbs };
  const { weights, mask: kept, metrics } = correctRollouts(input, options);
  const mask = kept ?? sampled ?? null;
  const [factors, ofRatio] =
    options.weightsMultiply === 'ratio' ? [null, weights] : [weights, null];
  return {
    weigh: (advantages) =>
      factors === null ? advantages : advantages.map((advantage, t) => advantage * factors[t]!),
    ratioBase:
      ofRatio === null
        ? old
        : splitBy(withoutWeights(oldLogProbs, ofRatio), lengths).map((part) => vector('f32', part)),
    masks: mask && splitBy(mask, lengths).map((part) => vector('u8', part)),
    metrics: {
      ...mismatchMetrics(countedValues(rolloutLogProbs, rows), countedValues(oldLogProbs, rows)),
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

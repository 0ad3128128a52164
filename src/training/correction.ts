import { tokenRows } from '../algorithms/primitives.ts';
import {
  correctRollouts,
  type RolloutCorrectionOptions,
} from '../algorithms/rollout-correction.ts';
import { countedValues } from '../algorithms/token-statistics.ts';
import { mismatchMetrics, prefixed, type Metrics } from '../metrics.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { concatenate } from './experience.ts';

/** The correction of a step's rollouts. */
export interface StepCorrection {
  /** Multiplies advantages, f32 `[T]` over all responses, by the importance weights. */
  readonly weigh: (advantages: Float32Array) => Float32Array;
  /** Tokens that losses count, u8 `[T]` for each response; null where all do. */
  readonly masks: readonly Tensor<'u8'>[] | null;
  /** Metrics under `actor/rollout_train_mismatch/`, and as in verl under `rollout_corr/`. */
  readonly metrics: Metrics;
}

/**
 * Corrects a step for rollouts whose policy is not quite the learners'.
 *
 * Importance weights multiply the advantages rather than the losses. Every policy loss is linear in the advantage where
 * the factor is not negative, so this is the same. Rejected tokens count in no loss. Advantages are estimated from all
 * tokens, rejected ones among them; verl masks them before.
 *
 * @param rollout log-probabilities under the policy that sampled, f32 `[T]` for each response
 * @param old     those under the policy before the update
 * @param sampled the tokens that were sampled, u8 `[T]` over all responses: those of an environment between them have
 *   no probability under the policy, and count in nothing; all were where it is left out
 */
export function correctStep(
  options: RolloutCorrectionOptions,
  rollout: readonly Tensor<'f32'>[],
  old: readonly Tensor<'f32'>[],
  sampled?: Uint8Array,
): StepCorrection {
  const rows = tokenRows(
    old.map(({ data }) => data.length),
    sampled,
  );
  const [oldLogProbs, rolloutLogProbs] = [concatenate(old), concatenate(rollout)];
  const input = { ...rows, oldLogProbs, rolloutLogProbs };
  const { weights, mask: kept, metrics } = correctRollouts(input, options);
  const mask = kept ?? sampled ?? null;
  const { offsets } = rows;
  return {
    weigh: (advantages) =>
      weights === null ? advantages : advantages.map((advantage, t) => advantage * weights[t]!),
    masks:
      mask &&
      old.map(({ shape }, i) => ({
        dtype: 'u8',
        shape,
        data: mask.slice(offsets[i], offsets[i + 1]),
      })),
    metrics: {
      ...mismatchMetrics(countedValues(rolloutLogProbs, rows), countedValues(oldLogProbs, rows)),
      ...prefixed('rollout_corr', metrics),
    },
  };
}

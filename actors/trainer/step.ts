import type { Metrics } from '../../src/metrics.ts';
import { correctStep } from '../../src/training/correction.ts';
import type { RunState } from '../run-folder/checkpoints.ts';
import { estimateAdvantages, perResponse } from './advantages.ts';
import { makeBatch } from './batch.ts';
import type { UndoableContext } from './context.ts';
import type { StepNumber } from './schedule.ts';
import { criticValues, oldLogProbs, refLogProbs, updateCritic, updatePolicy } from './passes.ts';
import { meanAccuracy, rewardMetrics, stepMetrics } from './step-metrics.ts';
import { Stopwatch } from './timeline.ts';

/**
 * One step of reinforcement learning: sample, score, estimate advantages, update.
 *
 * The step is that of PPO (arXiv:1707.06347) and its critic-free relatives such as GRPO (arXiv:2402.03300), in the
 * order of EasyR1's `ray_trainer.py`. It is synchronous: the weights that sample are those that the update starts from.
 *
 * Left to others:
 * - formulas: advantages and KL are in `src/algorithms`, losses in `src/training`;
 * - the loop: `run-loop.ts` takes steps, validates, saves and logs;
 * - failures: they end the run, which goes on from its last checkpoint.
 *
 * Weights are not copied. Rollouts read the learners' memory, and its version number says which step it is of.
 *
 * A step may be preempted. Until `beginUpdate` it has changed nothing, so it is undone; from then on it is finished
 * first.
 *
 * P prompts have n responses each, so there are B = P · n responses. A response of T tokens has log-probabilities,
 * values and advantages, f32 `[T]` each.
 *
 * @param at number of this step and of all steps; learning rates follow from it
 */
export async function trainingStep(
  context: UndoableContext,
  state: RunState,
  at: StepNumber,
): Promise<StepResult> {
  const clock = new Stopwatch(context.timeline);

  // Sample and score: B responses, each with a reward.
  const batch = await makeBatch(context, state, at.step, clock);
  const { scored } = batch;
  const promptIds = scored.map(({ group }) => group.prompt.promptId);
  const sequences = scored.map(({ group, response }) => ({
    prompt: group.prompt.input,
    response: response.tokenIds,
  }));
  // Each part of a reward is a metric under a name of its author's. A taken name fails here, before weights change.
  const rewards = rewardMetrics(context, batch);

  // Evaluate every response token with the models as they are before the update.
  const old = await oldLogProbs(context, sequences, clock);
  const ref = await refLogProbs(context, sequences, clock); // null where KL is off
  const values = await criticValues(context, sequences, clock); // null without a critic

  // Turn rewards, less KL where it is part of them, into token advantages and returns.
  const evaluated = { old, ref, values };
  const estimate = clock.timeSync('adv', () =>
    estimateAdvantages(context.plan.step.algorithm, state.klController, batch, evaluated),
  );
  const returns = perResponse(estimate.returns, sequences);

  // Rollouts compute by other programs, perhaps in another precision, and drew each token with their own probability of
  // it. Weigh or drop tokens where that is too far from `old`. A critic's loss has no such ratio, so returns stay.
  const sampled = scored.map(({ response }) => response.logProbs);
  const correction = correctStep(context.plan.step.correction, sampled, old);
  const { masks } = correction;
  const advantages = perResponse(correction.weigh(estimate.advantages), sequences);

  // Update the critic, then the policy, for some epochs of mini-batches.
  await context.beginUpdate();
  const criticTargets = { sequences, masks, values, returns };
  const criticMetrics = await updateCritic(context, criticTargets, at, clock);
  const policyTargets = { sequences, masks, promptIds, old, ref, advantages };
  const { metrics: policyMetrics, trained } = await updatePolicy(context, policyTargets, at, clock);

  return {
    state: { ...state, ...batch.progress, klController: estimate.klController },
    metrics: stepMetrics(context, {
      ...{ batch, sequences, view: evaluated, estimate, clock },
      others: [rewards, correction.metrics, criticMetrics, policyMetrics],
    }),
    trained,
    accuracy: meanAccuracy(scored),
  };
}

/** A finished step. */
export interface StepResult {
  /** The run's state after the step. */
  readonly state: RunState;
  readonly metrics: Metrics;
  /** Ids of the prompts that the policy was trained on, one for each response, as the learners report them. */
  readonly trained: readonly string[];
  /** Mean accuracy of the B responses. */
  readonly accuracy: number;
}

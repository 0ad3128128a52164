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
 * What the step does not do:
 * - no formulas: advantages and KL are in `src/algorithms`, losses in `src/training`;
 * - no loop: `run-loop.ts` takes steps, validates, saves and logs;
 * - no copying of weights: rollouts read the learners' memory, and look for its version number before they do;
 * - no recovery: a failure ends the run, which goes on from its last checkpoint.
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
  const view = { old, ref, values };
  const estimate = clock.timeSync('adv', () =>
    estimateAdvantages(context.plan.step.algorithm, state.klController, batch, view),
  );
  const returns = perResponse(estimate.returns, sequences);

  // Weigh or drop tokens that the rollouts sampled from not quite this policy.
  // Returns stay as they are: a critic's loss has no ratio.
  const rollout = scored.map(({ response }) => response.logProbs);
  const correction = correctStep(context.plan.step.correction, rollout, old);
  const { masks } = correction;
  const advantages = perResponse(correction.weigh(estimate.advantages), sequences);

  // Update the critic, then the policy, for some epochs of mini-batches.
  await context.beginUpdate();
  const ofCritic = { sequences, masks, values, returns };
  const criticMetrics = await updateCritic(context, ofCritic, at, clock);
  const ofPolicy = { sequences, masks, promptIds, old, ref, advantages };
  const { metrics: policyMetrics, trained } = await updatePolicy(context, ofPolicy, at, clock);

  return {
    state: { ...state, ...batch.progress, klController: estimate.klController },
    metrics: stepMetrics(context, {
      ...{ batch, sequences, view, estimate, clock },
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

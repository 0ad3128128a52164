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
 * - no copying of weights: rollouts read what learners write, and a version number says when;
 * - no recovery: until `beginUpdate` a step changes nothing and may be taken again, after it a failure ends the run.
 *
 * P prompts have n responses each, so there are B = P · n responses. One of T tokens has log-probabilities, values and
 * advantages f32 `[T]`.
 */
export async function trainingStep(
  context: UndoableContext,
  state: RunState,
  number: StepNumber,
): Promise<StepResult> {
  const clock = new Stopwatch(context.timeline);

  // Sample and score: B responses, each with a reward.
  const batch = await makeBatch(context, state, number.step, clock);
  const { scored } = batch;
  const promptIds = scored.map(({ group }) => group.prompt.promptId);
  const sequences = scored.map(({ group, response }) => ({
    prompt: group.prompt.input,
    response: response.tokenIds,
  }));
  // Parts of a reward are named by its author. A name that is taken must fail before weights change.
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

  // Correct for tokens that were sampled from a policy that is not quite this one.
  const rollout = scored.map(({ response }) => response.logProbs);
  const correction = correctStep(context.plan.step.correction, rollout, old);
  const { masks } = correction;
  const advantages = perResponse(correction.weigh(estimate.advantages), sequences);

  // Update the critic, then the policy, for some epochs of mini-batches.
  await context.beginUpdate();
  const critic = await updateCritic(context, { sequences, masks, values, returns }, number, clock);
  const targets = { sequences, masks, promptIds, old, ref, advantages };
  const policy = await updatePolicy(context, targets, number, clock);

  const losses = { ...critic, ...policy.metrics, ...correction.metrics };
  return {
    state: { ...state, ...batch.progress, klController: estimate.klController },
    metrics: stepMetrics(context, { batch, sequences, view, estimate, losses, rewards, clock }),
    trained: policy.trained,
    accuracy: meanAccuracy(scored),
  };
}

/** A finished step. */
export interface StepResult {
  /** The run's state after the step. */
  readonly state: RunState;
  readonly metrics: Metrics;
  /** The prompt of each response that the learners report as trained on. */
  readonly trained: readonly string[];
  /** Mean accuracy of the responses that were trained on. */
  readonly accuracy: number;
}

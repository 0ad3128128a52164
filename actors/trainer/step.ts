import type { Metrics } from '../../src/metrics.ts';
import { correctStep } from '../../src/training/correction.ts';
import { explore } from '../../src/training/exploration.ts';
import { lossMasks } from '../../src/training/truncation.ts';
import type { Sequence } from '../messages.ts';
import type { RunState } from '../run-folder/checkpoints.ts';
import { estimateAdvantages, perResponse, viewOf, type TokenView } from './advantages.ts';
import type { Batch, SampledBatch, SampledResponse } from './batch.ts';
import type { BatchSource } from './ahead/batch-source.ts';
import { beside } from './beside.ts';
import type { StepContext, UndoableContext } from './context.ts';
import { policyRows } from './episodes.ts';
import type { StepPlan } from './plan.ts';
import type { StepNumber } from './schedule.ts';
import { evaluateTokens, syncReference, updateCritic, updatePolicy } from './passes.ts';
import { meanAccuracy, rewardMetrics, stepMetrics } from './report/step-metrics.ts';
import { Stopwatch } from './report/timeline.ts';

/**
 * One step of reinforcement learning: sample, score, estimate advantages, update.
 *
 * The step is that of PPO (arXiv:1707.06347) and its critic-free relatives such as GRPO (arXiv:2402.03300), in the
 * order of EasyR1's `ray_trainer.py`, but that responses are scored beside the passes over them. The weights that sample
 * are those that the update starts from, or older ones where rollouts run ahead (`ahead/rollouts-ahead.ts`).
 *
 * Left to others:
 * - formulas: advantages and KL are in `src/algorithms`, losses in `src/training`;
 * - the loop: `run-loop.ts` takes steps, validates, saves and logs;
 * - failures: they end the run, which goes on from its last checkpoint.
 *
 * Weights are not copied, unless rollouts run ahead. Rollouts read the learners' memory, and its version number says how
 * many updates it has.
 *
 * A step may be preempted. Until `beginUpdate` it has changed nothing, so it is undone; from then on it is finished
 * first.
 *
 * P prompts have n responses each, so there are B = P · n responses. A response of T tokens has log-probabilities,
 * values and advantages, f32 `[T]` each.
 *
 * @param batches where its responses come from
 * @param at      number of this step and of all steps; learning rates follow from it
 */
export async function trainingStep(
  context: UndoableContext,
  batches: BatchSource,
  state: RunState,
  at: StepNumber,
): Promise<StepResult> {
  const clock = new Stopwatch(context.timeline);

  // Sample B responses, or take those that were sampled ahead; score and evaluate them.
  const sampled = await batches.take(context, state, at.step, clock);
  const { batch, evaluated } = await scoreAndEvaluate(context, sampled, clock);
  const { scored } = batch;
  const sequences = scored.map(sequenceOf);
  const promptIds = scored.map(({ group }) => group.prompt.promptId);
  const { ref, values } = evaluated;
  // Each part of a reward is a metric under a name of its author's. A taken name fails here, before weights change.
  const rewards = rewardMetrics(context, batch);
  const rollouts = batches.metrics(scored);

  // Turn rewards, less KL where it is part of them, into token advantages and returns.
  const estimate = clock.timeSync('adv', () =>
    estimateAdvantages(context.plan.step.algorithm, state.klController, batch, evaluated),
  );
  const returns = perResponse(estimate.returns, sequences);

  const { masks, weighed, correction, exploration } = weighTokens(
    context.plan.step,
    scored,
    evaluated,
    estimate.advantages,
    state.entropyCoeff,
  );
  const advantages = perResponse(weighed, sequences);

  // Update the critic, then the policy, for some epochs of mini-batches.
  await context.beginUpdate();
  const targets = { sequences, masks };
  const criticTargets = { ...targets, values, returns };
  const critic = await updateCritic(context, criticTargets, at, clock);
  const [{ old }, { entropyCoeff }] = [correction, exploration];
  const policyTargets = { ...targets, promptIds, old, ref, advantages, entropyCoeff };
  const policy = await updatePolicy(context, policyTargets, at, clock);
  batches.advance(at.step);
  await syncReference(context, at, clock);

  const { klController } = estimate;
  const others = [rewards, rollouts, correction.metrics, exploration.metrics];
  return {
    state: {
      ...{ ...state, ...batch.progress, klController },
      entropyCoeff: exploration.nextEntropyCoeff,
    },
    metrics: stepMetrics(context, {
      ...{ batch, sequences, view: evaluated, estimate, clock },
      others: [...others, critic, policy.metrics],
    }),
    trained: policy.trained,
    accuracy: meanAccuracy(scored),
    scored,
  };
}

/**
 * Scores responses while the models, as they are before the update, evaluate each of their tokens. Neither needs the
 * other. A response that could not be scored may be left out of both.
 */
async function scoreAndEvaluate(
  context: StepContext,
  { responses, score }: SampledBatch,
  clock: Stopwatch,
): Promise<{ readonly batch: Batch; readonly evaluated: TokenView }> {
  const [batch, view] = await beside(context.signal, score, (signal) =>
    evaluateTokens({ ...context, signal }, responses.map(sequenceOf), clock),
  );
  return { batch, evaluated: viewOf(view, responses, batch.scored) };
}

/**
 * The tokens that count in the losses, and their advantages as the policy is trained on them.
 *
 * Rollouts compute by other programs, perhaps in another precision, and drew each token with their own probability of
 * it. Tokens where that is too far from `old` are weighed or dropped. A critic's loss has no such ratio, so returns
 * stay. The policy's entropy may earn a bonus, or choose the tokens that the policy is trained on.
 *
 * @param advantages   f32, response after response
 * @param entropyCoeff of the step before
 */
function weighTokens(
  plan: StepPlan,
  scored: readonly SampledResponse[],
  { old, entropies }: TokenView,
  advantages: Float32Array,
  entropyCoeff: number | undefined,
) {
  const kept = scored.map(({ response }) => response);
  const sampled = kept.map(({ logProbs }) => logProbs);
  const rows = policyRows(scored); // what an environment said between two turns counts in no loss
  const correction = correctStep(plan.correction, sampled, old, rows.mask);
  const masks = lossMasks(plan.algorithm, correction.masks, kept);
  const exploration = explore(plan.exploration, rows, entropies, entropyCoeff);
  const weighed = exploration.weigh(correction.weigh(advantages));
  return { masks, weighed, correction, exploration };
}

/** A response with its prompt, as models read them. */
function sequenceOf({ group, response }: SampledResponse): Sequence {
  const media = response.episode?.media ?? null;
  return { prompt: group.prompt.input, response: response.tokenIds, media };
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
  /** The responses with their scores. */
  readonly scored: Batch['scored'];
}

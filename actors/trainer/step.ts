import { freemem, totalmem } from 'node:os';
import { tokenRows } from '../../src/algorithms/primitives.ts';
import { balanceMetrics } from '../../src/algorithms/sequence-balance.ts';
import { flopsUtilization, trainingFlops, type DecoderSizes } from '../../src/flops.ts';
import {
  dataMetrics,
  mergeMetrics,
  mismatchMetrics,
  performanceMetrics,
  timingMetrics,
  type Metrics,
  type PhaseSeconds,
} from '../../src/metrics.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { concatenate, sequenceLength, splitBy } from '../../src/training/experience.ts';
import { learnerShares } from '../../src/training/mini-batches.ts';
import { estimateAdvantages } from './advantages.ts';
import { makeBatch, type Batch } from './batch-phase.ts';
import type { RunState, StepContext, UndoableContext } from './context.ts';
import type { StepNumber } from './learning-rates.ts';
import { update, viewOf } from './model-phases.ts';
import { accuracyOf, invalidCount, meanParts } from './scoring-phase.ts';
import { Stopwatch } from './stopwatch.ts';

/** A finished step. */
export interface StepResult {
  readonly state: RunState;
  readonly metrics: Metrics;
  /** The prompt of each response that the learners trained on, by their own account. */
  readonly trained: readonly string[];
  readonly accuracy: number;
}

/**
 * One training step: prompts, responses, scores, log-probabilities, values, advantages, updates.
 *
 * @param number its number; the policy begins with the weights of the version that a step before left
 */
export async function trainingStep(
  context: UndoableContext,
  state: RunState,
  number: StepNumber,
): Promise<StepResult> {
  const { plan } = context;
  const clock = new Stopwatch(context.timeline);
  const batch = await makeBatch(context, state, number.step, clock);
  const { scored } = batch;
  // Before weights change: a part of a reward may have a name that is taken.
  const rewards = rewardMetrics(context, batch);
  const sequences = scored.map(({ group, response }) => ({
    prompt: group.prompt.input,
    response: response.tokenIds,
  }));
  const view = await viewOf(context, sequences, clock);
  const estimate = clock.timeSync('adv', () =>
    estimateAdvantages(plan.step.algorithm, state.klController, batch, view),
  );
  const lengths = sequences.map(({ response }) => response.data.length);
  const perResponse = (values: Float32Array): Tensor<'f32'>[] =>
    splitBy(values, lengths).map((data) => ({ dtype: 'f32', shape: [data.length], data }));
  const lessons = {
    promptIds: scored.map(({ group }) => group.prompt.promptId),
    advantages: perResponse(estimate.advantages),
    returns: perResponse(estimate.returns),
  };
  await context.beginUpdate();
  const { metrics: losses, trained } = await update(
    context,
    sequences,
    view,
    lessons,
    number,
    clock,
  );

  const tokens = sequences.map(sequenceLength);
  const responseTokens = estimate.advantages.length;
  const totalTokens = tokens.reduce((sum, length) => sum + length, 0);
  const seconds = clock.stopStep();
  const deviceCount = context.actors.learners.count;
  const metrics = mergeMetrics(
    losses,
    estimate.metrics,
    rewards,
    dataMetrics({
      ...tokenRows(lengths),
      tokenScores: estimate.tokenScores,
      tokenRewards: estimate.tokenRewards,
      advantages: estimate.advantages,
      returns: estimate.returns,
      ...(view.values !== null && { values: concatenate(view.values) }),
      promptLengths: sequences.map(({ prompt }) => prompt.tokenIds.data.length),
      maxPromptLength: plan.step.batch.maxPromptLength,
      maxResponseLength: plan.step.batch.maxResponseLength,
    }),
    balanceMetrics(tokens, learnerShares(sequences, deviceCount)),
    timingMetrics(seconds, { response: responseTokens, all: totalTokens }),
    performanceMetrics({
      totalTokens,
      stepSeconds: seconds.step,
      deviceCount,
      usedMemoryBytes: totalmem() - freemem(),
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    }),
    utilization(context, tokens, seconds),
    mismatchMetrics(
      concatenate(scored.map(({ response }) => response.logProbs)),
      concatenate(view.old),
    ),
    { 'data/skipped_rows': batch.skipped },
  );
  const accuracies = scored.map(({ parts }) => accuracyOf(parts));
  return {
    state: { ...state, ...batch.progress, klController: estimate.klController },
    metrics,
    trained,
    accuracy: accuracies.reduce((sum, value) => sum + value, 0) / accuracies.length,
  };
}

/**
 * `reward/<part>` of the run's own responses, and `reward/<stage>/<part>` of those to an earlier stage's prompts; and
 * how many could not be scored, where that does not end the run.
 */
function rewardMetrics({ actors, plan }: StepContext, { generated, invalid }: Batch): Metrics {
  const [own = [], ...replayed] = generated;
  return mergeMetrics(
    meanParts(own, (part) => `reward/${part}`),
    ...replayed.map((scored, i) =>
      meanParts(scored, (part) => `reward/${actors.replays[i]!.name!}/${part}`),
    ),
    invalidCount(invalid, plan.step.batch, 'reward/invalid_responses'),
  );
}

/** `perf/mfu_actor` and `perf/mfu_critic`; both count the policy's epochs, as in the reference. */
function utilization(
  { actors, plan, sizes }: StepContext,
  tokens: readonly number[],
  seconds: PhaseSeconds,
): Metrics {
  const run = {
    epochs: plan.step.policy.epochs,
    // Where learners compute, and not what else the trainer's host has; the peak of a CPU is not known.
    deviceName: 'cpu',
    deviceCount: actors.learners.count,
  };
  const share = (decoder: DecoderSizes, spent: number): number =>
    flopsUtilization(trainingFlops(decoder, tokens), { ...run, seconds: spent });
  const { update_actor: ofPolicy, update_critic: ofCritic } = seconds;
  return {
    ...(ofPolicy !== undefined && { 'perf/mfu_actor': share(sizes.policy, ofPolicy) }),
    ...(ofCritic !== undefined &&
      sizes.critic !== null && { 'perf/mfu_critic': share(sizes.critic, ofCritic) }),
  };
}

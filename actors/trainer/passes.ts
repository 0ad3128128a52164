import { sum } from '../../src/algorithms/primitives.ts';
import { reduceMetrics, type Metrics } from '../../src/metrics.ts';
import { zeros, type Tensor } from '../../src/tensor/tensor.ts';
import { needsEntropies } from '../../src/training/exploration.ts';
import type { Sequence } from '../messages.ts';
import { askAny } from '../runtime/pool.ts';
import type { ModelOutputs } from './advantages.ts';
import type { StepContext } from './context.ts';
import type { PolicyView } from './learners.ts';
import { ANY_WORK_MS, RETRIES } from './patience.ts';
import { criticRates, isDue, policyRate, versionAfter, type StepNumber } from './schedule.ts';
import type { Stopwatch } from './report/timeline.ts';

/**
 * Passes of the models over the responses of a step: log-probabilities and values before the update, and the updates.
 *
 * Each has a phase of the clock and of the progress display. Updates are never retried.
 */

/** Evaluates every response token with the models as they are before the update, one model after the other. */
export async function evaluateTokens(
  context: StepContext,
  sequences: readonly Sequence[],
  clock: Stopwatch,
): Promise<ModelOutputs> {
  const { logProbs: old, entropies } = await policyView(context, sequences, clock);
  const ref = await refLogProbs(context, sequences, clock);
  const values = await criticValues(context, sequences, clock);
  return { old, entropies, ref, values };
}

/** Log-probabilities of the response tokens under the policy before the update, and entropies where they are used. */
export function policyView(
  { actors, plan, reporter, weights, signal }: StepContext,
  sequences: readonly Sequence[],
  clock: Stopwatch,
): Promise<PolicyView> {
  const { learners } = actors;
  return clock.time('old', async () => {
    const progress = zeros('i32', [learners.count]);
    const total = sequences.length;
    using _ = reporter.phase({ name: 'old log-probs', total, done: () => sum(progress.data) });
    const { temperature } = plan.step.sampling;
    const request = {
      sequences: [...sequences],
      temperature,
      version: weights.version,
      withEntropies: needsEntropies(plan.step.exploration),
    };
    return await learners.logProbs(request, progress, { timeoutMs: ANY_WORK_MS, signal });
  });
}

/** Log-probabilities under the reference; null when nothing needs them. */
async function refLogProbs(
  { actors, plan, reporter, signal }: StepContext,
  sequences: readonly Sequence[],
  clock: Stopwatch,
): Promise<Tensor<'f32'>[] | null> {
  const { reference } = actors;
  if (reference === null) return null;
  return await clock.time('ref', async () => {
    const progress = zeros('i32', [1]);
    const total = sequences.length;
    using _ = reporter.phase({ name: 'reference', total, done: () => sum(progress.data) });
    const { temperature } = plan.step.sampling;
    const { ref, weights } = reference;
    const { version } = weights.sync;
    const request = { sequences: [...sequences], temperature, version, progress };
    // Its weights change between steps alone, so a call that failed may be repeated.
    const options = { timeoutMs: ANY_WORK_MS, signal, retries: RETRIES };
    const reply = await askAny([ref], 'logProbs', request, options);
    return reply.map(([logProbs]) => logProbs!);
  });
}

/** Moves the reference towards the policy after a step in which that is due. */
export async function syncReference(
  { actors, plan }: StepContext,
  { step }: StepNumber,
  clock: Stopwatch,
): Promise<void> {
  const { reference, learners } = actors;
  const { referenceSync, criticWarmup } = plan.step;
  if (reference === null || referenceSync === null) return;
  if (step < criticWarmup || !isDue(referenceSync.steps, step)) return;
  await clock.time('sync_ref', async () => {
    await learners.collect();
    await reference.weights.mix(referenceSync.alpha);
  });
}

/** Values of the response tokens before the update, f32 `[T]` for each sequence; null without a critic. */
async function criticValues(
  { actors, reporter, signal }: StepContext,
  sequences: readonly Sequence[],
  clock: Stopwatch,
): Promise<Tensor<'f32'>[] | null> {
  const { critics } = actors;
  if (critics === null) return null;
  return await clock.time('values', async () => {
    const progress = zeros('i32', [critics.count]);
    const total = sequences.length;
    using _ = reporter.phase({ name: 'values', total, done: () => sum(progress.data) });
    return await critics.values(sequences, progress, { timeoutMs: ANY_WORK_MS, signal });
  });
}

/** A batch that the critic is trained on, column by column; tensors are f32 `[T]`, one for each sequence. */
export interface CriticTargets {
  readonly sequences: readonly Sequence[];
  /** Tokens that count; null where all do. */
  readonly masks: readonly Tensor<'u8'>[] | null;
  /** Values before the update; null without a critic. */
  readonly values: readonly Tensor<'f32'>[] | null;
  readonly returns: readonly Tensor<'f32'>[];
}

/** Trains the critic. @returns its metrics; none without a critic */
export async function updateCritic(
  { actors, plan, reporter, signal }: StepContext,
  { sequences, masks, values, returns }: CriticTargets,
  number: StepNumber,
  clock: Stopwatch,
): Promise<Metrics> {
  const { critics } = actors;
  if (critics === null || values === null) return {};
  const { miniBatchSize, epochs } = plan.step.critic;
  const experiences = sequences.map((sequence, i) => ({
    ...sequence,
    mask: masks?.[i] ?? null,
    oldValues: values[i]!,
    returns: returns[i]!,
  }));
  return await clock.time('update_critic', async () => {
    const { now, next } = criticRates(plan.step, number);
    const progress = zeros('i32', [critics.count]);
    const total = sequences.length * epochs;
    using _ = reporter.phase({ name: 'critic', total, done: () => sum(progress.data) });
    const options = { timeoutMs: ANY_WORK_MS, signal };
    const request = { miniBatchSize, learningRate: now };
    const metrics = await critics.update(experiences, request, progress, options);
    return { ...reduceMetrics(metrics), 'critic/lr': next };
  });
}

/** A batch that the policy is trained on, column by column; tensors are f32 `[T]`, one for each sequence. */
export interface PolicyTargets {
  readonly sequences: readonly Sequence[];
  /** Tokens that count; null where all do. */
  readonly masks: readonly Tensor<'u8'>[] | null;
  /** The prompt that each response answers. */
  readonly promptIds: readonly string[];
  /** Log-probabilities that the loss's ratio is to. */
  readonly ratioBase: readonly Tensor<'f32'>[];
  /** Log-probabilities under the reference; null where KL is off. */
  readonly ref: readonly Tensor<'f32'>[] | null;
  readonly advantages: readonly Tensor<'f32'>[];
  /** Weight of the entropy bonus. */
  readonly entropyCoeff: number;
}

/**
 * Trains the policy and publishes its weights. While the critic warms up, it does nothing.
 *
 * @returns its metrics, and the prompt of each response that it was trained on
 */
export async function updatePolicy(
  { actors, plan, reporter, weights, signal }: StepContext,
  { sequences, masks, promptIds, ratioBase, ref, advantages, entropyCoeff }: PolicyTargets,
  number: StepNumber,
  clock: Stopwatch,
): Promise<{ readonly metrics: Metrics; readonly trained: readonly string[] }> {
  if (number.step < plan.step.criticWarmup) return { metrics: {}, trained: [] };
  const { miniBatchSize, epochs } = plan.step.policy;
  const experiences = sequences.map((sequence, i) => ({
    ...sequence,
    mask: masks?.[i] ?? null,
    oldLogProbs: ratioBase[i]!,
    advantages: advantages[i]!,
    refLogProbs: ref?.[i] ?? null,
  }));
  return await clock.time('update_actor', async () => {
    const learningRate = policyRate(plan.step, number);
    const progress = zeros('i32', [actors.learners.count]);
    const total = sequences.length * epochs;
    using _ = reporter.phase({ name: 'update', total, done: () => sum(progress.data) });
    // Readers let go of the weights before the learners step them.
    await weights.revise();
    const options = { timeoutMs: ANY_WORK_MS, signal };
    const request = { miniBatchSize, learningRate, entropyCoeff };
    const lists = await actors.learners.update(experiences, request, progress, options);
    weights.publish(versionAfter(plan.step, number.step));
    const metrics = { ...reduceMetrics(lists), 'actor/lr': learningRate };
    return { metrics, trained: promptIds };
  });
}

/**
 * Passes of the models over the responses of a step: log-probabilities and values before the update, and the updates.
 *
 * Each has a phase of the clock and of the progress display. Updates are never retried.
 */
import { sum } from '../../src/algorithms/primitives.ts';
import { reduceMetrics, type Metrics } from '../../src/metrics.ts';
import { zeros, type Tensor } from '../../src/tensor/tensor.ts';
import { needsEntropies } from '../../src/training/exploration.ts';
import type { ValueExperienceMessage } from '../critic/protocol.ts';
import type { ExperienceMessage } from '../learner/protocol.ts';
import type { Sequence } from '../messages.ts';
import { askAny } from '../runtime/pool.ts';
import type { ModelOutputs } from './advantages.ts';
import type { StepContext } from './context.ts';
import type { PolicyView } from './learners.ts';
import { ANY_WORK_MS, RETRIES } from './patience.ts';
import { criticRates, isDue, policyRate, versionAfter, type StepCounter } from './schedule.ts';
import type { Stopwatch } from './report/timeline.ts';

/** Evaluates every response token with the models as they are before the update, one model after the other. */
export async function evaluateTokens(
  context: StepContext,
  sequences: readonly Sequence[],
  clock: Stopwatch,
): Promise<ModelOutputs> {
  const { logProbs, entropies } = await policyView(context, sequences, clock);
  const refLogProbs = await referenceLogProbs(context, sequences, clock);
  const values = await criticValues(context, sequences, clock);
  return { oldLogProbs: logProbs, entropies, refLogProbs, values };
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
async function referenceLogProbs(
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
  { step }: StepCounter,
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

/** Trains the critic. @returns its metrics; none without a critic */
export async function updateCritic(
  { actors, plan, reporter, signal }: StepContext,
  experiences: readonly ValueExperienceMessage[] | null,
  counter: StepCounter,
  clock: Stopwatch,
): Promise<Metrics> {
  const { critics } = actors;
  if (critics === null || experiences === null) return {};
  const { miniBatchSize, epochs } = plan.step.critic;
  return await clock.time('update_critic', async () => {
    const { now, next } = criticRates(plan.step, counter);
    const progress = zeros('i32', [critics.count]);
    const total = experiences.length * epochs;
    using _ = reporter.phase({ name: 'critic', total, done: () => sum(progress.data) });
    const options = { timeoutMs: ANY_WORK_MS, signal };
    const request = { miniBatchSize, learningRate: now };
    const metrics = await critics.update(experiences, request, progress, options);
    return { ...reduceMetrics(metrics), 'critic/lr': next };
  });
}

/** Input of an update of the policy. */
export interface PolicyInput {
  /** Each response with the policy's targets. */
  readonly policy: readonly ExperienceMessage[];
  /** Weight of the entropy bonus in the loss. */
  readonly entropyCoeff: number;
}

/**
 * Trains the policy and publishes its weights.
 *
 * @returns its metrics; null while the critic warms up, when the policy stays as it is
 */
export async function updatePolicy(
  { actors, plan, reporter, weights, signal }: StepContext,
  { policy, entropyCoeff }: PolicyInput,
  counter: StepCounter,
  clock: Stopwatch,
): Promise<Metrics | null> {
  if (counter.step < plan.step.criticWarmup) return null;
  const { miniBatchSize, epochs } = plan.step.policy;
  return await clock.time('update_actor', async () => {
    const learningRate = policyRate(plan.step, counter);
    const progress = zeros('i32', [actors.learners.count]);
    const total = policy.length * epochs;
    using _ = reporter.phase({ name: 'update', total, done: () => sum(progress.data) });
    // Readers let go of the weights before the learners step them.
    await weights.revise();
    const options = { timeoutMs: ANY_WORK_MS, signal };
    const request = { miniBatchSize, learningRate, entropyCoeff };
    const metrics = await actors.learners.update(policy, request, progress, options);
    weights.publish(versionAfter(plan.step, counter.step));
    return { ...reduceMetrics(metrics), 'actor/lr': learningRate };
  });
}

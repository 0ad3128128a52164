import { reduceMetrics, type Metrics } from '../../src/metrics.ts';
import { zeros, type Tensor } from '../../src/tensor/tensor.ts';
import type { Sequence } from '../messages.ts';
import { FROZEN_VERSION } from '../model-props.ts';
import { askAny } from '../runtime/pool.ts';
import type { AskOptions } from '../runtime/ref.ts';
import { LearnerProgress } from './learners.ts';
import { criticRates, policyRate, type StepNumber } from './learning-rates.ts';
import type { StepContext } from './context.ts';
import type { Stopwatch } from './stopwatch.ts';

/** What the models say of each response before the step changes them; a value for each of its tokens. */
export interface ModelView {
  readonly old: readonly Tensor<'f32'>[];
  /** Null when nothing needs the reference. */
  readonly ref: readonly Tensor<'f32'>[] | null;
  /** Null when there is no critic. */
  readonly values: readonly Tensor<'f32'>[] | null;
}

/** What the responses taught: one value for each token. */
export interface Lessons {
  /** The prompt that each response answers. */
  readonly promptIds: readonly string[];
  readonly advantages: readonly Tensor<'f32'>[];
  readonly returns: readonly Tensor<'f32'>[];
}

/** Long enough for any pass of a model; a lost actor is noticed at once, without it. */
const TIMEOUT_MS = 24 * 3600_000;
/** Of the reference, whose answer is the same however often it is asked. */
const RETRIES = 5;

/** Log-probabilities under the policy and the reference, and the critic's values. */
export async function viewOf(
  { actors, plan, reporter, weights, signal }: StepContext,
  sequences: readonly Sequence[],
  clock: Stopwatch,
): Promise<ModelView> {
  const { learners, reference, critics } = actors;
  const { temperature } = plan.step;
  const ask: AskOptions = { timeoutMs: TIMEOUT_MS, signal };
  const total = sequences.length;
  const old = await clock.time('old', async () => {
    const progress = new LearnerProgress(learners.count);
    using _ = reporter.phase({ name: 'old log-probs', total, done: () => progress.done });
    const policyVersion = weights.version;
    const request = { sequences: [...sequences], temperature, policyVersion };
    return await learners.logProbs(request, progress, ask);
  });
  const ref =
    reference === null
      ? null
      : await clock.time('ref', async () => {
          const progress = zeros('i32', [1]);
          const done = (): number => progress.data[0]!;
          using _ = reporter.phase({ name: 'reference', total, done });
          const policyVersion = FROZEN_VERSION;
          const request = { sequences: [...sequences], temperature, policyVersion, progress };
          return (await askAny([reference], 'logProbs', request, { ...ask, retries: RETRIES }))
            .logProbs;
        });
  const values =
    critics === null
      ? null
      : await clock.time('values', async () => {
          const progress = new LearnerProgress(critics.count);
          using _ = reporter.phase({ name: 'values', total, done: () => progress.done });
          return await critics.values(sequences, progress, ask);
        });
  return { old, ref, values };
}

/** What was learnt, and the prompt of each response that the policy was trained on. */
export interface Updated {
  readonly metrics: Metrics;
  readonly trained: readonly string[];
}

/** Trains the critic, where there is one, and the policy, once the critic has warmed up. */
export async function update(
  context: StepContext,
  sequences: readonly Sequence[],
  view: ModelView,
  lessons: Lessons,
  number: StepNumber,
  clock: Stopwatch,
): Promise<Updated> {
  const { critics } = context.actors;
  const plan = context.plan.step;
  const { values } = view;
  const ofCritic =
    critics === null || values === null
      ? {}
      : await clock.time('update_critic', async () => {
          const { reporter, signal } = context;
          const { miniBatchSize, epochs } = plan.critic;
          const { now, next } = criticRates(plan, number);
          const progress = new LearnerProgress(critics.count);
          const total = sequences.length * epochs;
          using _ = reporter.phase({ name: 'critic', total, done: () => progress.done });
          const metrics = await critics.update(
            sequences.map((sequence, i) => ({
              ...sequence,
              oldValues: values[i]!,
              returns: lessons.returns[i]!,
            })),
            { miniBatchSize, learningRate: now },
            progress,
            { timeoutMs: TIMEOUT_MS, signal },
          );
          return { ...reduceMetrics(metrics), 'critic/lr': next };
        });
  if (number.step < plan.criticWarmup) {
    return { metrics: ofCritic, trained: [] };
  }
  const ofPolicy = await clock.time('update_actor', () =>
    updatePolicy(context, sequences, view, lessons, number),
  );
  return { metrics: { ...ofCritic, ...ofPolicy.metrics }, trained: ofPolicy.trained };
}

async function updatePolicy(
  context: StepContext,
  sequences: readonly Sequence[],
  { old, ref }: ModelView,
  { promptIds, advantages }: Lessons,
  number: StepNumber,
): Promise<Updated> {
  const { actors, plan, reporter, weights, signal } = context;
  const { miniBatchSize, epochs } = plan.step.policy;
  const learningRate = policyRate(plan.step, number);
  const progress = new LearnerProgress(actors.learners.count);
  const total = sequences.length * epochs;
  using _ = reporter.phase({ name: 'update', total, done: () => progress.done });
  await weights.revise();
  const { metrics, trained } = await actors.learners.update(
    sequences.map((sequence, i) => ({
      ...sequence,
      promptId: promptIds[i]!,
      oldLogProbs: old[i]!,
      advantages: advantages[i]!,
      refLogProbs: ref?.[i] ?? null,
    })),
    { miniBatchSize, learningRate },
    progress,
    { timeoutMs: TIMEOUT_MS, signal },
  );
  weights.publish(number.step + 1);
  return { metrics: { ...reduceMetrics(metrics), 'actor/lr': learningRate }, trained };
}

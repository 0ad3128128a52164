import { freemem, totalmem } from 'node:os';
import { advantageEstimators } from '../../src/algorithms/advantage.ts';
import { updateKlController, type KlController } from '../../src/algorithms/kl.ts';
import { tokenRows } from '../../src/algorithms/primitives.ts';
import { penalizeRewards, tokenLevelScores } from '../../src/algorithms/token-rewards.ts';
import type { Config } from '../../src/config/schema.ts';
import type { PromptCursor } from '../../src/data/prompt-source.ts';
import {
  dataMetrics,
  performanceMetrics,
  reduceMetrics,
  timingMetrics,
  type Metrics,
} from '../../src/metrics.ts';
import type { GateSpec, GateState } from '../../src/reward/gate.ts';
import { zeros, type Tensor } from '../../src/tensor/tensor.ts';
import type { AdvanceState } from '../../src/training/advance.ts';
import { concatenate, splitBy } from '../../src/training/experience.ts';
import type { Prompt } from '../messages.ts';
import { askAny } from '../runtime/pool.ts';
import type { WeightSync } from '../weights/sync.ts';
import { REFERENCE_VERSION, type Cast } from './cast.ts';
import { LearnerProgress } from './learners.ts';
import type { Reporter } from './reporter.ts';
import { generateGroups } from './rollout-phase.ts';
import { accuracyOf, meanParts, scoreGroups, type ScoredResponse } from './scoring-phase.ts';
import { Stopwatch } from './stopwatch.ts';

/** What a run remembers from step to step, besides the learner's own state. */
export interface RunState {
  readonly cursor: PromptCursor;
  readonly gate: GateState;
  readonly validationGate: GateState;
  readonly klController: KlController;
  /** How near a stage is to its end. */
  readonly advance: AdvanceState;
}

/** What does not change during a run. */
export interface StepContext {
  readonly cast: Cast;
  /** The policy's, for every process that reads them. */
  readonly weights: WeightSync;
  readonly config: Config;
  readonly gate: GateSpec | undefined;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** A finished step. */
export interface StepResult {
  readonly state: RunState;
  readonly metrics: Metrics;
  readonly accuracy: number;
}

/** Long enough for any pass of a model; a lost actor is noticed at once, without it. */
const TIMEOUT_MS = 24 * 3600_000;
/** Of the reference, whose answer is the same however often it is asked. */
const RETRIES = 5;

/**
 * One training step: prompts, responses, scores, log-probabilities, advantages, update.
 *
 * @param step from 1; it begins with the weights of that version and leaves those of the next
 * @param learningRate of this step
 */
export async function trainingStep(
  context: StepContext,
  state: RunState,
  step: number,
  learningRate: number,
): Promise<StepResult> {
  const { cast, config, reporter, weights, signal } = context;
  const { data, worker } = config;
  const clock = new Stopwatch();
  const ask = { timeoutMs: TIMEOUT_MS, signal };

  const { prompts, cursor, skipped } = await clock.time('data', () => nextPrompts(context));
  const groups = await clock.time('gen', () =>
    generateGroups(
      cast.rollouts,
      prompts,
      {
        sampling: worker.rollout,
        maxTokens: data.maxResponseLength,
        stream: ['rollout', config.trainer.seed, step],
        policyVersion: weights.version,
        signal,
      },
      reporter,
    ),
  );
  const { scored, gate } = await clock.time('reward', () =>
    scoreGroups(
      cast.rewards,
      groups,
      { spec: context.gate, state: state.gate },
      { timeoutMs: worker.reward.timeoutSeconds * 1000, signal },
    ),
  );

  const sequences = scored.map(({ group, response }) => ({
    prompt: group.prompt.input,
    response: response.tokenIds,
  }));
  const { temperature } = worker.rollout;
  const { learners, reference } = cast;
  const old = await clock.time('old', async () => {
    const progress = new LearnerProgress(learners.count);
    const phase = { name: 'old log-probs', total: sequences.length, done: () => progress.done };
    using _ = reporter.phase(phase);
    const policyVersion = weights.version;
    return await learners.logProbs({ sequences, temperature, policyVersion }, progress, ask);
  });
  const ref =
    reference === null
      ? null
      : await clock.time('ref', async () => {
          const progress = zeros('i32', [1]);
          const done = (): number => progress.data[0]!;
          using _ = reporter.phase({ name: 'reference', total: sequences.length, done });
          const policyVersion = REFERENCE_VERSION;
          const request = { sequences, temperature, policyVersion, progress };
          return (await askAny([reference], 'logProbs', request, { ...ask, retries: RETRIES }))
            .logProbs;
        });

  const estimate = clock.timeSync('adv', () => estimateAdvantages(config, state, scored, old, ref));
  const update = await clock.time('update_actor', async () => {
    const progress = new LearnerProgress(learners.count);
    const advantages = splitBy(
      estimate.advantages,
      scored.map(({ response }) => response.tokenIds.data.length),
    );
    using _ = reporter.phase({
      name: 'update',
      total: scored.length * worker.actor.ppoEpochs,
      done: () => progress.done,
    });
    await weights.revise();
    const metrics = await learners.update(
      sequences.map((sequence, i) => ({
        ...sequence,
        oldLogProbs: old[i]!,
        advantages: { dtype: 'f32', shape: [advantages[i]!.length], data: advantages[i]! },
        refLogProbs: ref?.[i] ?? null,
      })),
      { miniBatchSize: worker.actor.globalBatchSize * worker.rollout.n, learningRate },
      progress,
      ask,
    );
    weights.publish(step + 1);
    return metrics;
  });

  const promptLengths = scored.map(({ group }) => group.prompt.input.tokenIds.data.length);
  const responseTokens = estimate.advantages.length;
  const totalTokens = responseTokens + promptLengths.reduce((sum, length) => sum + length, 0);
  const seconds = clock.stop('step');
  const metrics: Metrics = {
    ...reduceMetrics(update),
    ...estimate.metrics,
    ...meanParts(scored, (part) => `reward/${part}`),
    ...dataMetrics({
      ...tokenRows(scored.map(({ response }) => response.tokenIds.data.length)),
      tokenScores: estimate.tokenScores,
      tokenRewards: estimate.tokenRewards,
      advantages: estimate.advantages,
      returns: estimate.returns,
      promptLengths,
      maxPromptLength: data.maxPromptLength,
      maxResponseLength: data.maxResponseLength,
    }),
    ...timingMetrics(seconds, { response: responseTokens, all: totalTokens }),
    ...performanceMetrics({
      totalTokens,
      stepSeconds: seconds['step'] ?? NaN,
      deviceCount: learners.count,
      usedMemoryBytes: totalmem() - freemem(),
    }),
    'actor/lr': learningRate,
    'data/skipped_rows': skipped,
  };
  const accuracies = scored.map(({ parts }) => accuracyOf(parts));
  return {
    state: { ...state, cursor, gate, klController: estimate.klController },
    metrics,
    accuracy: accuracies.reduce((sum, value) => sum + value, 0) / accuracies.length,
  };
}

/** Loader batches until a step's prompts are together; what is over is left for nobody, as in the reference. */
async function nextPrompts({
  cast,
  config,
  signal,
}: StepContext): Promise<{ prompts: Prompt[]; cursor: PromptCursor; skipped: number }> {
  const wanted = config.data.rolloutBatchSize;
  const prompts: Prompt[] = [];
  for (;;) {
    const batch = await cast.data.ask.nextPrompts(undefined, { timeoutMs: TIMEOUT_MS, signal });
    prompts.push(...batch.prompts);
    if (prompts.length >= wanted) return { ...batch, prompts: prompts.slice(0, wanted) };
  }
}

interface Estimate {
  readonly tokenScores: Float32Array;
  readonly tokenRewards: Float32Array;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
  readonly metrics: Metrics;
  readonly klController: KlController;
}

/** From scores and log-probabilities to token advantages. */
function estimateAdvantages(
  { algorithm }: Config,
  { klController }: RunState,
  scored: readonly ScoredResponse[],
  old: readonly Tensor<'f32'>[],
  ref: readonly Tensor<'f32'>[] | null,
): Estimate {
  const rows = tokenRows(scored.map(({ response }) => response.tokenIds.data.length));
  const scores = Float32Array.from(scored, ({ parts }) => parts['overall']!);
  const tokenScores = tokenLevelScores(scores, rows);
  const inReward = ref !== null && !algorithm.useKlLoss;
  const penalized = inReward
    ? penalizeRewards(
        { ...rows, tokenScores, oldLogProbs: concatenate(old), refLogProbs: concatenate(ref) },
        {
          kind: algorithm.klPenalty === 'full' ? 'kl' : algorithm.klPenalty,
          coef: klController.coef,
        },
      )
    : null;
  const tokenRewards = penalized?.rewards ?? tokenScores;
  const { advantages, returns } = advantageEstimators[algorithm.advEstimator]({
    ...rows,
    rewards: tokenRewards,
    groupIds: scored.map(({ group }) => group.prompt.promptId),
    gamma: algorithm.gamma,
    lambda: algorithm.lam,
  });
  const metrics: Metrics =
    penalized === null
      ? algorithm.useKlLoss && ref !== null
        ? { 'actor/kl_coef': algorithm.klCoef }
        : {}
      : { 'actor/kl_penalty': penalized.currentKl, 'actor/kl_coef': klController.coef };
  return {
    tokenScores,
    tokenRewards,
    advantages,
    returns,
    metrics,
    klController:
      penalized === null
        ? klController
        : updateKlController(klController, penalized.currentKl, scored.length),
  };
}

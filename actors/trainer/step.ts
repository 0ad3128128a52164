import type { Metrics } from '../../src/metrics.ts';
import { correctStep } from '../../src/training/correction.ts';
import { explore } from '../../src/training/exploration.ts';
import { lossMasks } from '../../src/training/truncation.ts';
import type { RunState } from '../run-folder/checkpoints.ts';
import {
  estimateAdvantages,
  outputsOfScored,
  perResponse,
  type Estimate,
  type ModelOutputs,
} from './advantages.ts';
import type { BatchSource } from './ahead/batch-source.ts';
import { sequenceOf, type ScoredBatch, type SampledBatch, type SampledResponse } from './batch.ts';
import { concurrently } from './concurrently.ts';
import type { PreemptibleContext, StepContext } from './context.ts';
import { policyTokens } from './episodes.ts';
import {
  evaluateTokens,
  syncReference,
  updateCritic,
  updatePolicy,
  type CriticTargets,
  type PolicyTargets,
} from './passes.ts';
import type { StepPlan } from './plan.ts';
import { rewardMetrics, stepMetrics } from './report/step-metrics.ts';
import { Stopwatch } from './report/timeline.ts';
import type { StepNumber } from './schedule.ts';

/**
 * One step of reinforcement learning.
 *
 *     sample ──▶ responses ──┬─ score ────▶ rewards ───────────┬─ estimate ──▶ advantages ──▶ update
 *                            └─ evaluate ─▶ log-probs, values ─┘
 *
 * This is the step of PPO (arXiv:1707.06347) and of its relatives without a critic, such as GRPO (arXiv:2402.03300),
 * where a response with the reward r has the advantage `(r - mean) / deviation` among the responses to its prompt.
 *
 * A run may be preempted during a step. Until `beginUpdate` resolves, any call may throw the signal's reason. Neither
 * weights nor `state` have changed by then, so the step is taken again later, with the same prompts. After that it runs
 * to its end.
 *
 * @param batches    gives the step's responses: sampled now, or before the step by rollouts that run ahead. Such rollouts
 *   hear when the weights have changed (`advance`)
 * @param state      what one step leaves for the next, weights apart
 * @param stepNumber number of the step, and of all steps; learning rates follow from them
 * @throws the first failure of an actor. The run ends then, and goes on from its last checkpoint
 */
export async function trainingStep(
  context: PreemptibleContext,
  batches: BatchSource,
  state: RunState,
  stepNumber: StepNumber,
): Promise<StepResult> {
  const clock = new Stopwatch(context.timeline);
  const plan = context.plan.step;

  // B = P · n responses, n to each of P prompts. T is the number of a response's tokens, which differs from one to the
  // next.
  const sampled = await batches.take(context, state, stepNumber.step, clock);

  // A reward for each response; and, [T] for each response, what the models say of its tokens before the update.
  const { batch, outputs } = await scoreAndEvaluate(context, sampled, clock);
  const { scored } = batch;

  // An advantage for each token. KL to the reference is taken off the rewards first, if it is to be part of them.
  const estimate = clock.timeSync('adv', () =>
    estimateAdvantages(plan.algorithm, state.klController, batch, outputs),
  );
  const targets = targetsOf(plan, scored, outputs, estimate, state.entropyCoeff);

  // This throws where a reward function's metric has a name that is taken, so it comes before weights change.
  const sampleMetrics = [rewardMetrics(context, batch), batches.metrics(scored)];

  // The point of no return. Some epochs of mini-batches, first for the critic where there is one, then for the policy.
  await context.beginUpdate();
  const criticMetrics = await updateCritic(context, targets.critic, stepNumber, clock);
  const policy = await updatePolicy(context, targets.policy, stepNumber, clock);
  // From here on rollouts that run ahead may use the new weights.
  batches.advance(stepNumber.step);
  await syncReference(context, stepNumber, clock);

  // `cursor` is the place of the next prompt, `gate` a running mean of scores that rewards may depend on, and `replay`
  // has both for each earlier stage of a curriculum whose prompts come again.
  const { cursor, gate, replay } = batch.progress;
  const { klController } = estimate;
  const { nextEntropyCoeff } = targets;
  const partMetrics = [...sampleMetrics, ...targets.metrics, criticMetrics, policy.metrics];
  return {
    state: { ...state, cursor, gate, replay, klController, entropyCoeff: nextEntropyCoeff },
    metrics: stepMetrics(context, { batch, outputs, estimate, partMetrics, clock }),
    trainedPromptIds: policy.trained,
    scored,
  };
}

/** A finished step. */
export interface StepResult {
  /** The run's state after the step. */
  readonly state: RunState;
  readonly metrics: Metrics;
  /** Ids of the prompts that the policy was trained on, one for each response, as the learners report them. */
  readonly trainedPromptIds: readonly string[];
  /** The step's responses. */
  readonly scored: ScoredBatch['scored'];
}

/**
 * Scores responses while the models evaluate their tokens: neither needs the other.
 *
 * `score` scores the responses now, unless sampling had to: then it gives those scores. A response that could not be
 * scored is left out of both results.
 */
async function scoreAndEvaluate(
  context: StepContext,
  { responses, score }: SampledBatch,
  clock: Stopwatch,
): Promise<{ readonly batch: ScoredBatch; readonly outputs: ModelOutputs }> {
  const evaluate = (signal: AbortSignal): Promise<ModelOutputs> =>
    evaluateTokens({ ...context, signal }, responses.map(sequenceOf), clock);
  const [batch, allOutputs] = await concurrently(context.signal, score, evaluate);
  return { batch, outputs: outputsOfScored(allOutputs, responses, batch.scored) };
}

/** Targets that the update of a step trains on. */
interface Targets {
  readonly critic: CriticTargets;
  readonly policy: PolicyTargets;
  /** Weight of the entropy bonus that the next step starts from; undefined where it is fixed. */
  readonly nextEntropyCoeff: number | undefined;
  readonly metrics: readonly Metrics[];
}

/**
 * Puts together what the critic and the policy are trained on.
 *
 * Some tokens count less than their advantage says, or not at all:
 *
 * - Rollouts compute by other programs than learners, perhaps in another precision. So the probability that a token was
 *   drawn with is not quite the one in `outputs`. The token is weighted, or left out where the two are too far apart
 *   (`correctStep`).
 * - Text of an environment between two turns was not drawn, and is left out (the mask of `policyTokens`).
 * - A response that was cut off at its longest length is left out if so configured (`lossMasks`).
 * - With a quantile of entropy, only the tokens of highest entropy keep their advantages (`explore`).
 *
 * The critic learns from the same tokens. Its loss has no ratio, so it takes no weights.
 *
 * @param entropyCoeff weight of the entropy bonus that the step before has left
 */
function targetsOf(
  plan: StepPlan,
  scored: readonly SampledResponse[],
  outputs: ModelOutputs,
  estimate: Estimate,
  entropyCoeff: number | undefined,
): Targets {
  const sequences = scored.map(sequenceOf);
  const responses = scored.map(({ response }) => response);
  const tokens = policyTokens(scored);
  const drawnLogProbs = responses.map(({ logProbs }) => logProbs);
  const correction = correctStep(plan.correction, drawnLogProbs, outputs.old, tokens.mask);
  const masks = lossMasks(plan.algorithm, correction.masks, responses);
  const exploration = explore(plan.exploration, tokens, outputs.entropies, entropyCoeff);
  // `weigh` multiplies and `keepHighEntropy` sets to 0, so their order does not matter.
  const advantages = exploration.keepHighEntropy(correction.weigh(estimate.advantages));
  return {
    critic: {
      sequences,
      masks,
      values: outputs.values,
      returns: perResponse(estimate.returns, sequences),
    },
    policy: {
      sequences,
      masks,
      promptIds: scored.map(({ group }) => group.prompt.promptId),
      ratioBase: correction.ratioBase,
      ref: outputs.ref,
      advantages: perResponse(advantages, sequences),
      entropyCoeff: exploration.entropyCoeff,
    },
    nextEntropyCoeff: exploration.nextEntropyCoeff,
    metrics: [correction.metrics, exploration.metrics],
  };
}

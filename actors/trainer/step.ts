import type { Metrics } from '../../src/metrics.ts';
import { correctMismatch } from '../../src/training/correction.ts';
import { entropyTerms } from '../../src/training/exploration.ts';
import { lossMasks } from '../../src/training/truncation.ts';
import type { ValueExperienceMessage } from '../critic/protocol.ts';
import type { RunState } from '../run-folder/checkpoints.ts';
import {
  estimateAdvantages,
  outputsOfScored,
  splitByResponse,
  type Estimate,
  type ModelOutputs,
} from './advantages.ts';
import type { BatchSource } from './ahead/batch-source.ts';
import { sequenceOf, type ScoredBatch, type SampledBatch } from './batch.ts';
import { concurrently } from './concurrently.ts';
import type { PreemptibleContext, StepContext } from './context.ts';
import { policyTokens } from './episodes.ts';
import {
  evaluateTokens,
  syncReference,
  updateCritic,
  updatePolicy,
  type PolicyInput,
} from './passes.ts';
import type { StepPlan } from './plan.ts';
import { rewardMetrics, stepMetrics } from './report/step-metrics.ts';
import { Stopwatch } from './report/timeline.ts';
import type { StepCounter } from './schedule.ts';
import type { ScoredResponse } from './score.ts';

/**
 * One step of reinforcement learning: PPO (arXiv:1707.06347), or a relative without a critic such as GRPO
 * (arXiv:2402.03300).
 *
 *     1  sample      n responses to each prompt, by the policy as it is, or as it was some steps before
 *     2  score       a reward r for each response; meanwhile the models evaluate its tokens: log-probabilities log π_old of
 *                    the policy before the update and log π_ref of the reference, values of the critic
 *     3  estimate    an advantage A for each token; for GRPO (r - mean) / deviation, over the n responses to a prompt
 *     4  correct     which tokens count, and how much
 *     5  update      the critic towards the returns; the policy along the gradient of the mean over tokens of
 *                    min(ρ A, clip(ρ, 1 - ε, 1 + ε) A), where ρ = π / π_old
 *     6  publish     the new weights, to rollouts and to a reference that follows the policy
 *
 * A run may be preempted during a step. Until `beginUpdate` resolves, any call may throw the reason of `context.signal`.
 * Neither weights nor `state`, which names the next prompts, have changed by then, so the resumed run takes the step
 * again. After that it runs to its end.
 *
 * @param context parts of the run, and `beginUpdate`
 * @param batches gives the step's responses
 * @param state   what one step leaves for the next, weights apart
 * @param counter number of the step, and of all steps; learning rates follow from them
 * @throws the first failure of an actor. The run ends with it, and is resumed from its last checkpoint
 */
export async function trainingStep(
  context: PreemptibleContext,
  batches: BatchSource,
  state: RunState,
  counter: StepCounter,
): Promise<StepResult> {
  const clock = new Stopwatch(context.timeline);
  const plan = context.plan.step;

  // 1. Sample.
  const sampled = await batches.take(context, state, counter.step, clock);

  // 2. Score and evaluate.
  const { batch, outputs } = await scoreAndEvaluate(context, sampled, clock);
  // Reward functions name metrics as they like. `rewardMetrics` throws where two have one name, before weights change.
  const sampleMetrics = [rewardMetrics(context, batch), batches.metrics(batch.scored)];

  // 3. Estimate. KL to the reference is taken off the rewards first, if it is to be part of them.
  const estimate = clock.timeSync('adv', () =>
    estimateAdvantages(plan.algorithm, state.klController, batch, outputs),
  );

  // 4. Correct.
  const input = updateInput(plan, batch.scored, outputs, estimate, state.entropyCoeff);

  // 5. Update. From here on the step cannot be undone.
  await context.beginUpdate();
  const criticMetrics = await updateCritic(context, input.critic, counter, clock);
  // Null while the critic warms up: the policy stays as it is.
  const policyMetrics = await updatePolicy(context, input, counter, clock);

  // 6. Publish. `updatePolicy` has put the weights where rollouts read them. Those that run ahead continue at once: they
  // do not need the reference.
  batches.continueAfter(counter.step);
  await syncReference(context, counter, clock);

  // The place of the next prompts, the gate that decides whether bonuses count, and both for earlier stages of a
  // curriculum whose prompts come again.
  const { cursor, gate, replay } = batch.taskStates;
  const { klController } = estimate;
  const partMetrics = [...sampleMetrics, ...input.metrics, criticMetrics, policyMetrics ?? {}];
  return {
    state: {
      ...state,
      cursor,
      gate,
      replay,
      klController,
      entropyCoeff: input.nextEntropyCoeff,
    },
    metrics: stepMetrics(context, { batch, outputs, estimate, partMetrics, clock }),
    isPolicyTrained: policyMetrics !== null,
    scored: batch.scored,
  };
}

/** A finished step. */
export interface StepResult {
  /** The run's state after the step. */
  readonly state: RunState;
  readonly metrics: Metrics;
  /** False while the critic warms up. */
  readonly isPolicyTrained: boolean;
  /** The step's responses. */
  readonly scored: readonly ScoredResponse[];
}

/**
 * Scores responses while the models evaluate their tokens: neither needs the other.
 *
 * A response that could not be scored is left out of both results.
 */
async function scoreAndEvaluate(
  context: StepContext,
  { responses, scoreResponses }: SampledBatch,
  clock: Stopwatch,
): Promise<{ readonly batch: ScoredBatch; readonly outputs: ModelOutputs }> {
  const evaluate = (signal: AbortSignal): Promise<ModelOutputs> =>
    evaluateTokens({ ...context, signal }, responses.map(sequenceOf), clock);
  const [batch, allOutputs] = await concurrently(context.signal, scoreResponses, evaluate);
  return { batch, outputs: outputsOfScored(allOutputs, responses, batch.scored) };
}

/** Input of a step's update. */
interface UpdateInput extends PolicyInput {
  /** Each response with the critic's targets; null without a critic. */
  readonly critic: readonly ValueExperienceMessage[] | null;
  /** Weight that the next step starts from; undefined where it is fixed. */
  readonly nextEntropyCoeff: number | undefined;
  readonly metrics: readonly Metrics[];
}

/**
 * Puts together what the critic and the policy are trained on.
 *
 * Some tokens count less than their advantage says, or not at all:
 *
 * - `policyTokens` masks text of an environment between two turns: the policy did not draw it.
 * - `correctMismatch` makes up for rollouts whose probabilities are not quite π_old: they run by other programs than
 *   learners, perhaps in another precision or with older weights. It multiplies an advantage by an importance weight, or
 *   divides π_old by the weight for a loss that wants it there. It masks a token where the two are too far apart.
 * - `lossMasks` masks responses that were cut off at their longest length, if so configured.
 * - `entropyTerms` keeps the advantages of those tokens alone that have most entropy, if so configured. Their share is
 *   counted over all tokens that were drawn, masked ones too. It also gives the weight of the entropy bonus.
 *
 * The critic learns from the same tokens. Its loss has no ratio, so it takes no importance weights.
 *
 * @param carriedCoeff weight of the entropy bonus that the step before has left; undefined at the first step
 */
function updateInput(
  plan: StepPlan,
  scored: readonly ScoredResponse[],
  { oldLogProbs, refLogProbs, entropies, values }: ModelOutputs,
  estimate: Estimate,
  carriedCoeff: number | undefined,
): UpdateInput {
  const responses = scored.map(({ response }) => response);
  const tokens = policyTokens(scored);
  const corrected = correctMismatch(plan.correction, {
    tokens,
    rolloutLogProbs: responses.map(({ logProbs }) => logProbs),
    oldLogProbs,
    advantages: estimate.advantages,
  });
  const masks = lossMasks(plan.algorithm, corrected.masks, responses);
  const entropy = entropyTerms(
    plan.exploration,
    { tokens, entropies, advantages: corrected.advantages },
    carriedCoeff,
  );
  const sequences = scored.map(sequenceOf);
  const advantages = splitByResponse(entropy.advantages, sequences);
  const returns = splitByResponse(estimate.returns, sequences);
  // Without a mask all tokens count.
  const masked = sequences.map((sequence, i) => ({ ...sequence, mask: masks?.[i] ?? null }));
  return {
    critic:
      values && masked.map((one, i) => ({ ...one, oldValues: values[i]!, returns: returns[i]! })),
    policy: masked.map((one, i) => ({
      ...one,
      oldLogProbs: corrected.oldLogProbs[i]!,
      refLogProbs: refLogProbs?.[i] ?? null,
      advantages: advantages[i]!,
    })),
    entropyCoeff: entropy.entropyCoeff,
    nextEntropyCoeff: entropy.nextEntropyCoeff,
    metrics: [corrected.metrics, entropy.metrics],
  };
}

import type { Metrics } from '../../src/metrics.ts';
import { correctStep } from '../../src/training/correction.ts';
import { explore } from '../../src/training/exploration.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { lossMasks } from '../../src/training/truncation.ts';
import type { Sequence } from '../messages.ts';
import type { RunState } from '../run-folder/checkpoints.ts';
import { estimateAdvantages, perResponse, viewOf, type TokenView } from './advantages.ts';
import type { Batch, SampledBatch, SampledResponse } from './batch.ts';
import type { BatchSource } from './ahead/batch-source.ts';
import { concurrently } from './concurrently.ts';
import type { StepContext, PreemptibleContext } from './context.ts';
import { policyRows } from './episodes.ts';
import type { StepPlan } from './plan.ts';
import type { StepNumber } from './schedule.ts';
import { evaluateTokens, syncReference, updateCritic, updatePolicy } from './passes.ts';
import { meanAccuracy, rewardMetrics, stepMetrics } from './report/step-metrics.ts';
import { Stopwatch } from './report/timeline.ts';

/**
 * One step of reinforcement learning: sample, score, estimate advantages, update.
 *
 * The step is that of PPO (arXiv:1707.06347) and of its critic-free relatives. In GRPO (arXiv:2402.03300), for one, a
 * response's advantage is its reward less the mean reward of the responses to its prompt, divided by their deviation, and
 * each of its tokens gets that advantage. The order of the parts is that of EasyR1's `ray_trainer.py`, except that
 * responses are scored while the models evaluate them.
 *
 * P prompts have n responses each, so there are B = P · n responses. These go from part to part:
 * - `SampledBatch`: the B responses, each of T tokens and with the prompt that it answers, and a function that scores them;
 * - `Batch`: those of them that could be scored, with their rewards;
 * - `TokenView`: what the models say of each token before the update, f32 `[T]` for each response: log-probabilities of
 *   the policy (`old`) and of the reference (`ref`), the critic's `values`, and entropies;
 * - `Estimate`: advantages and returns, f32 over the tokens of all responses, one response after the other, and the next
 *   step's controller of KL;
 * - `WeighedTokens`: which tokens the update counts, and how much.
 *
 * Left to others:
 * - formulas: advantages and KL are in `src/algorithms`, losses in `src/training`;
 * - the loop: `run-loop.ts` takes steps, validates, saves and logs;
 * - failures: they end the run, which goes on from its last checkpoint.
 *
 * Weights are not copied, unless rollouts run ahead. Rollouts read the learners' memory, and its version number says how
 * many updates it has.
 *
 * A step may be preempted. Until `beginUpdate` it has changed neither weights nor `state`, whose cursor says which prompts
 * come next, so the signal's error just leaves it, and its prompts are taken again; from then on it is finished first.
 *
 * @param context the run's actors, plan and reports
 * @param batches source of the responses
 * @param state   the run's state before the step
 * @param at      number of this step and of all steps; learning rates follow from it
 * @returns the state after the step, and what is to be reported
 */
export async function trainingStep(
  context: PreemptibleContext,
  batches: BatchSource,
  state: RunState,
  at: StepNumber,
): Promise<StepResult> {
  const clock = new Stopwatch(context.timeline);
  const plan = context.plan.step;

  // Sample B responses, or take those that were sampled ahead. Score them while the models evaluate their tokens.
  const sampled = await batches.take(context, state, at.step, clock);
  const { batch, evaluated } = await scoreAndEvaluate(context, sampled, clock);
  const { scored } = batch;
  const sequences = scored.map(sequenceOf);

  // Turn rewards, less KL to the reference where that is part of them, into advantages and returns of tokens.
  const estimate = clock.timeSync('adv', () =>
    estimateAdvantages(plan.algorithm, state.klController, batch, evaluated),
  );
  const weighed = weighTokens(plan, scored, evaluated, estimate.advantages, state.entropyCoeff);

  // Reward functions name metrics of their own. A name that is taken throws here, before weights change.
  const sampleMetrics = [rewardMetrics(context, batch), batches.metrics(scored)];

  // Update the critic where there is one, then the policy, for some epochs of mini-batches.
  await context.beginUpdate();
  const critic = await updateCritic(
    context,
    {
      sequences,
      masks: weighed.masks,
      values: evaluated.values,
      returns: perResponse(estimate.returns, sequences),
    },
    at,
    clock,
  );
  const policy = await updatePolicy(
    context,
    {
      sequences,
      masks: weighed.masks,
      promptIds: scored.map(({ group }) => group.prompt.promptId),
      old: weighed.ratioBase,
      ref: evaluated.ref,
      advantages: perResponse(weighed.advantages, sequences),
      entropyCoeff: weighed.entropyCoeff,
    },
    at,
    clock,
  );
  // Rollouts that run ahead may use the new weights from here on.
  batches.advance(at.step);
  await syncReference(context, at, clock);

  return {
    state: {
      ...state,
      ...batch.progress,
      klController: estimate.klController,
      entropyCoeff: weighed.nextEntropyCoeff,
    },
    metrics: stepMetrics(context, {
      batch,
      sequences,
      evaluated,
      estimate,
      clock,
      others: [...sampleMetrics, ...weighed.metrics, critic, policy.metrics],
    }),
    trainedPromptIds: policy.trained,
    accuracy: meanAccuracy(scored),
    scored,
  };
}

/**
 * Scores responses while the models, as they are before the update, evaluate each of their tokens.
 *
 * Neither needs the other. A response that could not be scored is left out of both results.
 */
async function scoreAndEvaluate(
  context: StepContext,
  { responses, score }: SampledBatch,
  clock: Stopwatch,
): Promise<{ readonly batch: Batch; readonly evaluated: TokenView }> {
  const evaluate = (signal: AbortSignal): Promise<TokenView> =>
    evaluateTokens({ ...context, signal }, responses.map(sequenceOf), clock);
  const [batch, view] = await concurrently(context.signal, score, evaluate);
  return { batch, evaluated: viewOf(view, responses, batch.scored) };
}

/** Tokens of a step, as its update counts them. */
interface WeighedTokens {
  /** Tokens that losses count, u8 `[T]` for each response; null where all do. */
  readonly masks: readonly Tensor<'u8'>[] | null;
  /** Advantages that the policy is trained on, f32, response after response. */
  readonly advantages: Float32Array;
  /** Log-probabilities of the denominator of the policy loss's ratio, f32 `[T]` for each response. */
  readonly ratioBase: TokenView['old'];
  /** Weight of the entropy bonus in this step's loss. */
  readonly entropyCoeff: number;
  /** Weight that the next step starts from; undefined where it is fixed. */
  readonly nextEntropyCoeff: number | undefined;
  readonly metrics: readonly Metrics[];
}

/**
 * Decides which tokens an update counts, and how much.
 *
 * - Rollouts compute by other programs than learners, perhaps in another precision, so the probability that a token was
 *   drawn with is not quite `old`. Where the two are too far apart, `advantages` are weighted, or `masks` leave the token
 *   out. A loss whose ratio is to the policy that sampled (VESPO) has the weight in its `ratioBase` instead.
 * - `masks` also leave out what an environment said between two turns, and responses that were cut off, if so configured.
 * - The policy's entropy may choose the tokens that it is trained on, by `advantages` of 0 at all others, or earn a bonus.
 * - A critic's loss has no ratio, so returns stay as they are.
 *
 * @param advantages   f32, response after response
 * @param carriedCoeff weight of the bonus that the step before has left
 */
function weighTokens(
  plan: StepPlan,
  scored: readonly SampledResponse[],
  { old, entropies }: TokenView,
  advantages: Float32Array,
  carriedCoeff: number | undefined,
): WeighedTokens {
  const responses = scored.map(({ response }) => response);
  const drawnLogProbs = responses.map(({ logProbs }) => logProbs);
  const rows = policyRows(scored); // the policy's own tokens
  const correction = correctStep(plan.correction, drawnLogProbs, old, rows.mask);
  const exploration = explore(plan.exploration, rows, entropies, carriedCoeff);
  return {
    masks: lossMasks(plan.algorithm, correction.masks, responses),
    advantages: exploration.select(correction.weigh(advantages)),
    ratioBase: correction.ratioBase,
    entropyCoeff: exploration.entropyCoeff,
    nextEntropyCoeff: exploration.nextEntropyCoeff,
    metrics: [correction.metrics, exploration.metrics],
  };
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
  readonly trainedPromptIds: readonly string[];
  /** Mean accuracy of the scored responses. */
  readonly accuracy: number;
  /** The responses with their scores. */
  readonly scored: Batch['scored'];
}

/** Advantages of a step by the config's estimator, from scores and from the models' outputs for each token. */
import { advantageEstimators, needsGreedy } from '../../src/algorithms/advantage.ts';
import { updateKlController, type KlController } from '../../src/algorithms/kl.ts';
import { penalizeRewards, tokenLevelScores } from '../../src/algorithms/token-rewards.ts';
import type { Algorithm } from '../../src/config/schema.ts';
import type { Metrics } from '../../src/metrics.ts';
import { vector, type Tensor } from '../../src/tensor/tensor.ts';
import { concatenate, splitBy } from '../../src/training/experience.ts';
import type { Sequence } from '../messages.ts';
import type { ScoredBatch, SampledResponse } from './batch.ts';
import { policyTokens } from './episodes.ts';
import { klKindOf } from './settings.ts';

/** Outputs of the models for each token before the update, f32 `[T]` for each response. */
export interface ModelOutputs {
  /** Log-probabilities under the policy. */
  readonly oldLogProbs: readonly Tensor<'f32'>[];
  /** Entropies of the distributions that the tokens are of; null when nothing needs them. */
  readonly entropies: readonly Tensor<'f32'>[] | null;
  /** Log-probabilities under the reference; null when nothing needs them. */
  readonly refLogProbs: readonly Tensor<'f32'>[] | null;
  /** The critic's values; null without a critic. */
  readonly values: readonly Tensor<'f32'>[] | null;
}

/** The outputs for those of the evaluated responses that were scored. */
export function outputsOfScored(
  { oldLogProbs, entropies, refLogProbs, values }: ModelOutputs,
  evaluated: readonly SampledResponse[],
  scored: readonly SampledResponse[],
): ModelOutputs {
  const rows = new Map(evaluated.map(({ response }, row) => [response, row]));
  const picked = (list: readonly Tensor<'f32'>[]): Tensor<'f32'>[] =>
    scored.map(({ response }) => list[rows.get(response)!]!);
  return {
    oldLogProbs: picked(oldLogProbs),
    entropies: entropies && picked(entropies),
    refLogProbs: refLogProbs && picked(refLogProbs),
    values: values && picked(values),
  };
}

/** Scores, rewards, advantages and returns of a step, f32 `[T]` over the tokens of all responses end to end. */
export interface Estimate {
  readonly tokenScores: Float32Array;
  readonly tokenRewards: Float32Array;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
  readonly metrics: Metrics;
  /** The controller for the next step. */
  readonly klController: KlController;
}

/** The controller of KL's weight in the rewards, as a run begins. */
export function initialKlController({
  klType,
  klCoef: coef,
  klTarget: target,
  klHorizon: horizon,
}: Algorithm): KlController {
  return klType === 'adaptive'
    ? { kind: 'adaptive', coef, target, horizon }
    : { kind: 'fixed', coef };
}

/**
 * Turns scores into token advantages.
 *
 * A score stands at the last token of its response. Where KL belongs to the rewards, each token's KL to the reference
 * is taken off. The estimator of `algorithm.adv_estimator` does the rest.
 */
export function estimateAdvantages(
  algorithm: Algorithm,
  klController: KlController,
  { scored, baselines }: Pick<ScoredBatch, 'scored' | 'baselines'>,
  { oldLogProbs, refLogProbs, values }: ModelOutputs,
): Estimate {
  const rows = policyTokens(scored);
  const scores = Float32Array.from(scored, ({ parts }) => parts['overall']!);
  const tokenScores = tokenLevelScores(scores, rows);
  const inReward = refLogProbs !== null && !algorithm.useKlLoss;
  const penalized = inReward
    ? penalizeRewards(
        {
          ...{ ...rows, tokenScores },
          oldLogProbs: concatenate(oldLogProbs),
          refLogProbs: concatenate(refLogProbs),
        },
        { kind: klKindOf(algorithm.klPenalty), coef: klController.coef },
      )
    : null;
  const tokenRewards = penalized?.rewards ?? tokenScores;
  const { advantages, returns } = advantageEstimators[algorithm.advEstimator].estimate({
    ...rows,
    rewards: tokenRewards,
    groupIds: scored.map(({ group }) => group.id),
    ...(values !== null && { values: concatenate(values) }),
    ...(needsGreedy(algorithm.advEstimator) && {
      baselines: Float32Array.from(scored, ({ group }) => baselines.get(group.id)!),
    }),
    gamma: algorithm.gamma,
    lambda: algorithm.lam,
    scaleRewards: algorithm.scaleRewards,
  });
  const estimate = { tokenScores, tokenRewards, advantages, returns };
  if (penalized === null) {
    const inLoss = refLogProbs !== null && algorithm.useKlLoss;
    const metrics: Metrics = inLoss ? { 'actor/kl_coef': algorithm.klCoef } : {};
    return { ...estimate, metrics, klController };
  }
  const { currentKl } = penalized;
  return {
    ...estimate,
    metrics: { 'actor/kl_penalty': currentKl, 'actor/kl_coef': klController.coef },
    klController: updateKlController(klController, currentKl, scored.length),
  };
}

/** Splits values of all tokens, f32 `[T]`, into a tensor for each response. */
export function splitByResponse(
  values: Float32Array,
  sequences: readonly Pick<Sequence, 'response'>[],
): Tensor<'f32'>[] {
  const lengths = sequences.map(({ response }) => response.data.length);
  return splitBy(values, lengths).map((part) => vector('f32', part));
}

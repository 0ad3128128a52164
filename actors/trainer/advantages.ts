import { advantageEstimators } from '../../src/algorithms/advantage.ts';
import { updateKlController, type KlController } from '../../src/algorithms/kl.ts';
import { tokenRows } from '../../src/algorithms/primitives.ts';
import { penalizeRewards, tokenLevelScores } from '../../src/algorithms/token-rewards.ts';
import type { Algorithm } from '../../src/config/schema.ts';
import type { Metrics } from '../../src/metrics.ts';
import { concatenate } from '../../src/training/experience.ts';
import type { Batch } from './batch-phase.ts';
import type { ModelView } from './model-phases.ts';
import { klKindOf } from './settings.ts';

/** What a step's scores come to, token by token; f32 `[T]` each, responses end to end. */
export interface Estimate {
  readonly tokenScores: Float32Array;
  readonly tokenRewards: Float32Array;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
  readonly metrics: Metrics;
  readonly klController: KlController;
}

/** What decides the weight of KL in the rewards, as a run begins. */
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

/** From scores and log-probabilities to token advantages, and the controller for the next step. */
export function estimateAdvantages(
  algorithm: Algorithm,
  klController: KlController,
  { scored, baselines }: Pick<Batch, 'scored' | 'baselines'>,
  { old, ref, values }: ModelView,
): Estimate {
  const rows = tokenRows(scored.map(({ response }) => response.tokenIds.data.length));
  const scores = Float32Array.from(scored, ({ parts }) => parts['overall']!);
  const tokenScores = tokenLevelScores(scores, rows);
  const inReward = ref !== null && !algorithm.useKlLoss;
  const penalized = inReward
    ? penalizeRewards(
        { ...rows, tokenScores, oldLogProbs: concatenate(old), refLogProbs: concatenate(ref) },
        { kind: klKindOf(algorithm.klPenalty), coef: klController.coef },
      )
    : null;
  const tokenRewards = penalized?.rewards ?? tokenScores;
  const { advantages, returns } = advantageEstimators[algorithm.advEstimator]({
    ...rows,
    rewards: tokenRewards,
    groupIds: scored.map(({ group }) => group.id),
    ...(values !== null && { values: concatenate(values) }),
    ...(algorithm.advEstimator === 'remax' && {
      baselines: Float32Array.from(scored, ({ group }) => baselines.get(group.id)!),
    }),
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

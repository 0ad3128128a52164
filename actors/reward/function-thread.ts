import type { Answer } from '../../src/data/row.ts';
import type { Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import { loadUserFunction } from '../../src/reward/user-function.ts';
import type { FunctionProps } from './scorer.ts';

/** Loads a user's function on the thread of a sandbox. @throws REWARD_INVALID */
export async function createScorer({
  source,
  kwargs,
  rewardType,
}: FunctionProps): Promise<(batch: readonly RewardInput<Answer>[]) => Promise<Outcome[]>> {
  const loaded = await loadUserFunction(source, kwargs, rewardType);
  return (batch) => loaded.score(batch);
}

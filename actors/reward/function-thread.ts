import type { RewardFile } from '../../src/config/reward-file.ts';
import type { Answer } from '../../src/data/answer.ts';
import type { Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import { loadUserFunction, type RewardType } from '../../src/reward/user-function.ts';

/** What a function on a thread of its own is made from. */
export interface FunctionProps {
  readonly source: RewardFile;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** How the function is called where its file does not say it. */
  readonly rewardType: RewardType;
}

/** Loads a user's function on the isolate's thread. @throws REWARD_INVALID */
export async function createScorer({
  source,
  kwargs,
  rewardType,
}: FunctionProps): Promise<(batch: readonly RewardInput<Answer>[]) => Promise<Outcome[]>> {
  const loaded = await loadUserFunction(source, kwargs, rewardType);
  return (batch) => loaded.score(batch);
}

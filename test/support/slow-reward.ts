import { setTimeout as delay } from 'node:timers/promises';
import type { RewardInput, RewardParts } from '../../src/reward/reward.ts';
import { score as lettersOf } from './letters-reward.ts';

/** The share of letters, after a while in which something may happen to its process. */
export async function score(inputs: readonly RewardInput[]): Promise<RewardParts[]> {
  await delay(100);
  return lettersOf(inputs);
}

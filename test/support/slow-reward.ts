import { setTimeout as delay } from 'node:timers/promises';
import type { RewardInput, RewardParts } from '../../src/reward/reward.ts';
import { score as lettersOf } from './letters-reward.ts';

/** The share of letters, after a while in which something may happen to its process. */
export async function score(inputs: readonly RewardInput[]): Promise<RewardParts[]> {
  await delay(100);
  return lettersOf(inputs);
}

/** The same after 200 ms, the time of a judge elsewhere. */
export async function scoreIn200Ms(inputs: readonly RewardInput[]): Promise<RewardParts[]> {
  await delay(200);
  return lettersOf(inputs);
}

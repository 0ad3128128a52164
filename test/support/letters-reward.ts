/** A reward that even random weights earn differently: the share of a response's characters that are letters. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RewardInput, RewardParts } from '../../src/reward/reward.ts';

/** Scores at once. */
export function score(inputs: readonly RewardInput[]): RewardParts[] {
  return inputs.map(({ response }) => ({
    overall: response.replaceAll(/\P{Letter}/gu, '').length / Math.max(1, response.length),
  }));
}

/** Scores after 100 ms, in which something may happen to its process. */
export async function scoreIn100Ms(inputs: readonly RewardInput[]): Promise<RewardParts[]> {
  await delay(100);
  return score(inputs);
}

/** Scores after 200 ms, the time of a judge on another host. */
export async function scoreIn200Ms(inputs: readonly RewardInput[]): Promise<RewardParts[]> {
  await delay(200);
  return score(inputs);
}

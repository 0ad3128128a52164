import type { RewardInput, RewardParts } from '../../src/reward/reward.ts';

/** The share of a response's characters that are letters: even random weights get different scores. */
export function score(inputs: readonly RewardInput[]): RewardParts[] {
  return inputs.map(({ response }) => ({
    overall: response.replaceAll(/\P{Letter}/gu, '').length / Math.max(1, response.length),
  }));
}

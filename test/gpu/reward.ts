import type { RewardInput, RewardParts } from '../../src/reward/reward.ts';

/** A reward that any text has some of: the share of its letters that are vowels. */
export function score(inputs: readonly RewardInput[]): RewardParts[] {
  return inputs.map(({ response }) => {
    const vowels = response.match(/[aeiou]/gi)?.length ?? 0;
    return { overall: vowels / Math.max(1, response.length) };
  });
}

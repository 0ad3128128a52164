/**
 * A reward function of your own.
 *
 *     cxmind train config=configs/quickstart.yaml \
 *       worker.reward.reward_function=./custom-reward.ts:concise \
 *       worker.reward.reward_function_kwargs.max_tokens=40
 *
 * The function gets all responses of a request and returns one map of numbers for each. `overall` is the
 * reward; every other part becomes a metric, `reward/<part>`. It may be async. With
 * `export const REWARD_TYPE = 'sequential'` it gets one response and returns one map instead.
 */
import type { RewardInput, RewardParts } from 'cxmind';

export const REWARD_NAME = 'concise';

function finalAnswer(text: string): string {
  return [...text.matchAll(/<answer>(.*?)<\/answer>/gs)].at(-1)?.[1]?.trim() ?? '';
}

/** One point for the reference's final answer, less up to half a point for a long way there. */
export function concise(
  inputs: readonly RewardInput[],
  { max_tokens = 64 }: { max_tokens?: number },
): RewardParts[] {
  return inputs.map(({ response, responseLength, groundTruth }) => {
    const answer = finalAnswer(response);
    const accuracy = Number(answer !== '' && answer === finalAnswer(groundTruth));
    const length = Math.min(1, responseLength / max_tokens);
    return { overall: accuracy - 0.5 * accuracy * length, accuracy, length };
  });
}

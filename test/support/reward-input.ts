import type { PromptContext } from '../../actors/messages.ts';
import type { ScoreRequest } from '../../actors/reward/protocol.ts';
import type { Answer } from '../../src/data/row.ts';
import type { AnsweredText, RewardInput } from '../../src/reward/reward.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import type { Tokenizer } from '../../src/text/tokenizer.ts';

/** A response to a short question, as reward functions see it; some of it given. */
export function rewardInput<T extends Answer>(
  given: AnsweredText<T> & Partial<RewardInput<T>>,
): RewardInput<T> {
  return {
    prompt: 'Why?',
    messages: [{ role: 'user', content: 'Why?' }],
    columns: {},
    responseIds: Array.from({ length: given.responseLength }, (_, i) => i),
    finishReason: 'stop',
    ...given,
  };
}

/** A chain of think, answer, think, answer, … */
export function chain(...texts: readonly string[]): string {
  return texts
    .map((text, i) => (i % 2 === 0 ? `<think>${text}</think>` : `<answer>${text}</answer>`))
    .join('');
}

/** The context of a short question, as prompts carry it. */
export const shortContext = {
  text: 'Why?',
  messages: [{ role: 'user' as const, content: 'Why?' }],
  columns: {},
};

/** A request to score some responses to one short question. */
export function scoreRequest(
  tokenizer: Tokenizer,
  texts: readonly string[],
  groundTruth: Answer,
  context: PromptContext = shortContext,
): ScoreRequest {
  const responses = texts.map((text, i) => {
    const ids = tokenizer.encode(text);
    const tokenIds = tensorOf('i32', [ids.length], ids);
    return { name: `row ${i}`, prompt: 0, tokenIds, finishReason: 'stop' as const, groundTruth };
  });
  return { prompts: [context], responses };
}

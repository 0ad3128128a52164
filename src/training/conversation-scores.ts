import type { Network } from '../model/network.ts';
import type { PromptInput } from '../model/pack.ts';
import { tensorOf } from '../tensor/tensor.ts';
import type { MicroBatchOptions } from './micro-batches.ts';
import { responseScores } from './response-scores.ts';

/**
 * Scores of whole conversations by a reward model: what its head says at the last token of each.
 *
 * A value model scores a response token by the row before it. So each conversation is a prompt here, and one more token
 * behind it is scored; attention is causal, so that token changes nothing.
 *
 * @returns one number for each
 * @see transformers, `GenericForSequenceClassification`: the logits of the last token that is no padding
 */
export async function conversationScores(
  network: Pick<Network, 'scores'>,
  conversations: readonly PromptInput[],
  microBatch: MicroBatchOptions,
): Promise<number[]> {
  const sequences = conversations.map((prompt) => ({
    prompt,
    response: tensorOf('i32', [1], [prompt.tokenIds.data.at(-1)!]),
  }));
  const found = await responseScores(network, sequences, microBatch);
  return found.map((scores) => scores[0]!);
}

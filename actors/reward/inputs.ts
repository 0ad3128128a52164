import type { Answer } from '../../src/data/row.ts';
import { CxmindError } from '../../src/errors.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import type { Tokenizer } from '../../src/text/tokenizer.ts';
import type { ScoreRequest } from './protocol.ts';

/**
 * The responses of a request as rewards see them, decoded.
 *
 * @throws WIRE_INVALID for a response to a prompt that the request does not have
 */
export function rewardInputs(
  { prompts, responses }: ScoreRequest,
  tokenizer: Tokenizer,
  skipSpecialTokens: boolean,
): RewardInput<Answer>[] {
  return responses.map(({ name, prompt: index, tokenIds, finishReason, groundTruth }) => {
    const prompt = prompts[index];
    if (prompt === undefined) {
      throw new CxmindError('WIRE_INVALID', `${name} answers prompt ${index} of ${prompts.length}`);
    }
    return {
      response: tokenizer.decode(tokenIds.data, { skipSpecialTokens }),
      responseLength: tokenIds.data.length,
      groundTruth,
      prompt: prompt.text,
      messages: prompt.messages,
      columns: prompt.columns,
      responseIds: [...tokenIds.data],
      finishReason,
    };
  });
}

/** Controls of a request's responses, from the fields of the API. */
import { NO_CONTROLS } from '../generation/logit-control.ts';
import { badTokens } from '../generation/response-controls.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { PlainControls } from './api-messages.ts';
import type { ChatRequest } from './chat-request.ts';
import type { GrammarReader } from './grammars.ts';
import { refusal } from './refusal.ts';

/**
 * Controls of a request; undefined where it asks for none, so that its draws cost nothing more.
 *
 * @throws DATA_INVALID, a refusal with status 400, for a bias of a token that there is not, or a grammar that cannot be
 *   followed
 */
export function controlsOf(
  request: ChatRequest,
  tokenizer: Tokenizer,
  grammars: GrammarReader,
): PlainControls | undefined {
  const grammar = grammars.read(request);
  const given: Partial<PlainControls> = {
    ...defined('repetitionPenalty', request.repetitionPenalty, 1),
    ...defined('presencePenalty', request.presencePenalty, 0),
    ...defined('frequencyPenalty', request.frequencyPenalty, 0),
    ...defined('minP', request.minP, 0),
    ...defined('topLogProbs', request.topLogprobs, 0),
    ...(request.logitBias && { logitBias: biasesOf(request.logitBias, tokenizer.size) }),
    ...(grammar && { grammar }),
    ...(request.badWords && { badWords: badTokens(request.badWords, tokenizer) }),
  };
  if (Object.keys(given).length === 0) return undefined;
  return { ...NO_CONTROLS, grammar: null, ...given };
}

/** A control that differs from its neutral value. */
function defined<K extends keyof PlainControls>(
  name: K,
  value: PlainControls[K] | null,
  neutral: PlainControls[K],
): Partial<Pick<PlainControls, K>> {
  if (value === null || value === neutral) return {};
  return { [name]: value } as Pick<PlainControls, K>;
}

function biasesOf(biases: Readonly<Record<string, number>>, size: number): Map<number, number> {
  const entries = Object.entries(biases).map(([token, bias]) => [Number(token), bias] as const);
  const stranger = entries.find(([token]) => token >= size);
  if (stranger === undefined) return new Map(entries);
  throw refusal(400, `logit_bias: no token ${stranger[0]}`, { param: 'logit_bias' });
}

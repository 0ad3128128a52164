/** Controls of a request's responses, from the fields of the API. */
import { isDeepStrictEqual } from 'node:util';
import { NO_CONTROLS } from '../generation/logit-control.ts';
import { badTokens } from '../generation/response-controls.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { PlainControls } from './api-messages.ts';
import type { ChatRequest } from './chat-request.ts';
import type { GrammarReader } from './grammars.ts';
import { refusal } from './refusal.ts';

const { constraint: _, ...none } = NO_CONTROLS;
const neutral: PlainControls = { ...none, grammar: null };

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
  const controls: PlainControls = {
    grammar: grammars.read(request),
    repetitionPenalty: request.repetitionPenalty ?? neutral.repetitionPenalty,
    presencePenalty: request.presencePenalty ?? neutral.presencePenalty,
    frequencyPenalty: request.frequencyPenalty ?? neutral.frequencyPenalty,
    minP: request.minP ?? neutral.minP,
    topLogProbs: request.topLogprobs ?? neutral.topLogProbs,
    logitBias: biasesOf(request.logitBias ?? {}, tokenizer.size),
    badWords: badTokens(request.badWords ?? [], tokenizer),
  };
  return isDeepStrictEqual(controls, neutral) ? undefined : controls;
}

function biasesOf(biases: Readonly<Record<string, number>>, size: number): Map<number, number> {
  const entries = Object.entries(biases).map(([token, bias]) => [Number(token), bias] as const);
  const stranger = entries.find(([token]) => token >= size);
  if (stranger === undefined) return new Map(entries);
  throw refusal(400, `logit_bias: no token ${stranger[0]}`, { param: 'logit_bias' });
}

/** Controls of a request's responses, from the fields of the API. */
import { NO_CONTROLS, type LogitControls } from '../generation/logit-control.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { ChatRequest } from './chat-request.ts';
import type { Grammars } from './grammars.ts';
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
  grammars: Grammars,
): LogitControls | undefined {
  const grammar = grammars.of(request);
  const given: Partial<LogitControls> = {
    ...defined('repetitionPenalty', request.repetitionPenalty, 1),
    ...defined('presencePenalty', request.presencePenalty, 0),
    ...defined('frequencyPenalty', request.frequencyPenalty, 0),
    ...defined('minP', request.minP, 0),
    ...defined('topLogProbs', request.topLogprobs, 0),
    ...(request.logitBias && { logitBias: biasesOf(request.logitBias, tokenizer.size) }),
    ...(grammar && { constraint: () => grammar.begin() }),
    ...(request.badWords && { badWords: badWordsOf(request.badWords, tokenizer) }),
  };
  return Object.keys(given).length === 0 ? undefined : { ...NO_CONTROLS, ...given };
}

/** A control that differs from its neutral value. */
function defined<K extends keyof LogitControls>(
  name: K,
  value: LogitControls[K] | null,
  neutral: LogitControls[K],
): Partial<Pick<LogitControls, K>> {
  if (value === null || value === neutral) return {};
  return { [name]: value } as Pick<LogitControls, K>;
}

function biasesOf(biases: Readonly<Record<string, number>>, size: number): Map<number, number> {
  const entries = Object.entries(biases).map(([token, bias]) => [Number(token), bias] as const);
  const stranger = entries.find(([token]) => token >= size);
  if (stranger === undefined) return new Map(entries);
  throw refusal(400, `logit_bias: no token ${stranger[0]}`, { param: 'logit_bias' });
}

/** The tokens of each word, at the beginning of a text and, as vLLM does, behind a space. */
function badWordsOf(words: readonly string[], tokenizer: Tokenizer): number[][] {
  return words
    .flatMap((word) => [word, ` ${word.trimStart()}`])
    .map((word) => tokenizer.encode(word))
    .filter((tokens) => tokens.length > 0);
}

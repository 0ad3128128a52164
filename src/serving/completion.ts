/** One chat completion: a request of the API as a job of the engine's session, and its responses as text. */
import { addAbortListener } from 'node:events';
import { randomInt } from 'node:crypto';
import type { Response } from '../generation/request.ts';
import type { Draw } from '../generation/sampler.ts';
import type { PromptInput } from '../model/pack.ts';
import { keyOf } from '../rng.ts';
import type { TokenBytes } from '../text/token-bytes.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { controlsOf } from './controls.ts';
import type { ChatRequest } from './chat-request.ts';
import type { GrammarReader } from './grammars.ts';
import { refusal } from './refusal.ts';
import type { RemoteSession } from './remote-session.ts';
import { TextStream, type TextStep } from './text-stream.ts';

/** The session of a server, its tokenizer and its grammars. */
export interface CompletionTools {
  readonly session: RemoteSession;
  readonly tokenizer: Tokenizer;
  readonly grammars: GrammarReader;
  readonly tokenBytes: TokenBytes;
}

/** Least temperature above 0. */
const LEAST_TEMPERATURE = 0.01;

/**
 * Receives the next text of a response, and the draws that it came with; either may be empty.
 *
 * The last text has the reason why the response is complete; any other has null.
 */
export type CompletionListener = (
  choice: number,
  text: string,
  draws: readonly Draw[],
  reason: Response['finishReason'] | null,
) => void;

/** Tokens of a completion, as OpenAI counts them. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** A response that is being generated. */
interface Choice {
  readonly stream: TextStream;
  /** Draws whose text has not been passed on yet. */
  readonly draws: Draw[];
}

/** Text of a token that ends a response. */
const nothing: TextStep = { text: '', isStopped: false };

/**
 * Answers a request.
 *
 * @throws DATA_INVALID, a refusal with status 400, where prompt and response are too long; the signal's reason when it
 *   aborts; any error of the device
 */
export async function complete(
  request: ChatRequest,
  prompt: PromptInput,
  { session, tokenizer, grammars, tokenBytes }: CompletionTools,
  onText: CompletionListener,
  signal: AbortSignal,
): Promise<Usage> {
  signal.throwIfAborted();
  const promptTokens = prompt.tokenIds.data.length;
  const stopTokens = tokenizer.eosIds;
  const maxTokens = responseRoom(request, prompt, session.capacity);
  const stops = [request.stop ?? []].flat();
  const choices = Array.from({ length: request.bestOf ?? request.n ?? 1 }, (): Choice => {
    return { stream: new TextStream(tokenBytes, stops), draws: [] };
  });
  const controls = controlsOf(request, tokenizer, grammars);
  let tokens = 0;
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  using _ = addAbortListener(signal, () => reject(signal.reason as Error));
  let left = choices.length;
  session.submit({
    request: {
      prompt,
      sampling: samplingOf(request),
      ...(controls && { controls }),
      maxTokens,
      stopTokens,
      seeds: seedsOf(request, choices.length),
    },
    signal,
    onDraw: (index, draw, reason) => {
      const { stream, draws } = choices[index]!;
      tokens++;
      draws.push(draw);
      const { text, isStopped } = stopTokens.includes(draw.token)
        ? nothing
        : stream.add(draw.token);
      const end = isStopped ? 'stop' : reason;
      const told = end === null ? text : text + stream.end();
      if (told !== '' || end !== null) onText(index, told, draws.splice(0), end);
      if (end !== null && --left === 0) resolve(undefined);
      return end !== null;
    },
    onError: reject,
  });
  await promise;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: tokens,
    total_tokens: promptTokens + tokens,
  };
}

/** Most tokens of a response: what was asked for, else what the session has room for. */
function responseRoom(request: ChatRequest, prompt: PromptInput, capacity: number): number {
  const promptTokens = prompt.tokenIds.data.length;
  // The positions of pictures may run behind their tokens, never ahead.
  const room = capacity - promptTokens;
  const wanted = request.maxCompletionTokens ?? request.maxTokens ?? Math.max(1, room);
  if (wanted <= room) return wanted;
  const message =
    `the conversation has ${promptTokens} tokens and the response up to ${wanted}, ` +
    `together the model takes ${capacity}`;
  throw refusal(400, message, { param: 'messages', reason: 'context_length_exceeded' });
}

function samplingOf({ temperature, topP, topK }: ChatRequest) {
  // As in vLLM: below, logits over the temperature leave the range of f32.
  const bounded = temperature === 0 ? 0 : Math.max(LEAST_TEMPERATURE, temperature ?? 1);
  return { temperature: bounded, topP: topP ?? 1, topK: topK ?? -1 };
}

/** Random streams of the responses; without a seed new ones for each request. */
function seedsOf({ seed }: ChatRequest, count: number): (readonly [number, number])[] {
  const chosen = seed ?? randomInt(2 ** 48 - 1);
  return Array.from({ length: count }, (_, choice) => keyOf('serve', chosen, choice));
}

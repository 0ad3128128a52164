/**
 * A client of one OpenAI-compatible chat endpoint, for many short requests.
 *
 * Retries follow OpenAI's own clients: after a connection that fails, a time limit, 408, 409, 429 or any 5xx, with
 * delays that double from half a second to 8 s, each shortened by up to a quarter at random, unless the server says
 * `Retry-After`. A body that is no completion is retried too, as a proxy may stand in for the server.
 *
 * https://platform.openai.com/docs/api-reference/chat/create, and its form at Azure:
 * https://learn.microsoft.com/azure/ai-services/openai/reference
 */
import { setTimeout as delay } from 'node:timers/promises';
import * as t from 'io-ts';
import { parsedJson } from '../../check/json.ts';
import { CxmindError, messageOf } from '../../errors.ts';
import { Slots } from './slots.ts';

/** Address, key and limits of a client. */
export interface ChatClientOptions {
  /** Address that `/chat/completions` follows; of Azure OpenAI the resource's endpoint. */
  readonly baseUrl: string;
  /** Key, sent as a bearer token, to Azure as `api-key`, and shown nowhere; null sends none. */
  readonly apiKey: string | null;
  /** The deployment and the version of the API, where the endpoint is one of Azure OpenAI. */
  readonly azure?: { readonly deployment: string; readonly apiVersion: string };
  /** Time limit of one attempt. */
  readonly timeoutMs: number;
  /** Attempts after the first. */
  readonly maxRetries: number;
  /** Requests under way at a time. */
  readonly maxConcurrency: number;
  /** Delay before the first retry; 500 ms if absent. */
  readonly firstDelayMs?: number;
}

/** Turn of the conversation that an endpoint is to continue. */
interface ChatTurn {
  readonly role: 'system' | 'user';
  readonly content: string;
}

/** Body of a request. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatTurn[];
  readonly temperature: number;
  readonly max_tokens: number;
}

/** Answer of an endpoint, and what it took. */
export interface ChatAnswer {
  readonly content: string;
  /** Tokens by the endpoint's own count; 0 where it does not count. */
  readonly promptTokens: number;
  readonly completionTokens: number;
}

const Completion = t.type({
  choices: t.array(t.type({ message: t.type({ content: t.string }) })),
  usage: t.union([
    t.type({ prompt_tokens: t.number, completion_tokens: t.number }),
    t.null,
    t.undefined,
  ]),
});

/** Statuses that every request would get, since the key or the address is wrong. */
const hopeless: ReadonlySet<number> = new Set([401, 403, 404]);
const passing: ReadonlySet<number> = new Set([408, 409, 429]);
const LONGEST_DELAY_MS = 8_000;
/** Longest wait that a server may ask for. */
const LONGEST_RETRY_AFTER_MS = 60_000;
const MAX_BODY_BYTES = 2 ** 22;
/** Characters of a server's message that an error quotes. */
const QUOTED = 200;

/** A failed attempt, and whether another may succeed. */
class Failure extends Error {
  readonly mayPass: boolean;
  /** Wait that the server asks for; null where it does not. */
  readonly retryAfterMs: number | null;

  constructor(message: string, mayPass: boolean, retryAfterMs: number | null = null) {
    super(message);
    this.mayPass = mayPass;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Client of a chat endpoint. */
export class ChatClient {
  /** Address of the endpoint, without a slash at its end. */
  readonly baseUrl: string;
  readonly #options: ChatClientOptions;
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #slots: Slots;

  constructor(options: ChatClientOptions) {
    this.#options = options;
    this.baseUrl = options.baseUrl.replace(/\/+$/, '');
    this.#url = urlOf(this.baseUrl, options.azure);
    this.#headers = { 'content-type': 'application/json', ...authorization(options) };
    this.#slots = new Slots(options.maxConcurrency);
  }

  /**
   * Asks for the answer to a conversation. A request that waits for its retry holds its place among those under way, so
   * a server that is overloaded gets fewer of them.
   *
   * @param onRetry is called before every attempt after the first
   * @throws CONFIG_INVALID for an address or a key that the server refuses; Error with the last failure once all attempts
   *   have failed; the signal's reason
   */
  ask(request: ChatRequest, signal: AbortSignal, onRetry: () => void): Promise<ChatAnswer> {
    return this.#slots.with(signal, async () => {
      for (let attempt = 0; ; attempt++) {
        try {
          return await this.#attempt(request, signal);
        } catch (error) {
          signal.throwIfAborted();
          const isOver = attempt >= this.#options.maxRetries;
          if (!(error instanceof Failure) || !error.mayPass || isOver) throw error;
          await delay(error.retryAfterMs ?? this.#backoff(attempt), undefined, { signal });
          onRetry();
        }
      }
    });
  }

  async #attempt(request: ChatRequest, signal: AbortSignal): Promise<ChatAnswer> {
    const { timeoutMs } = this.#options;
    const limit = AbortSignal.timeout(timeoutMs);
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url, {
        method: 'POST',
        headers: this.#headers,
        body: JSON.stringify(request),
        redirect: 'error',
        signal: AbortSignal.any([signal, limit]),
      });
      text = await boundedText(response);
    } catch (error) {
      if (limit.aborted) throw new Failure(`no answer in ${timeoutMs / 1000} s`, true);
      const { cause } = error as { cause?: unknown };
      throw new Failure(messageOf(cause ?? error), true);
    }
    if (!response.ok) this.#refuse(response, text);
    return answerIn(text);
  }

  #refuse({ status, headers }: Response, text: string): never {
    const { apiKey, baseUrl } = this.#options;
    // A server may repeat the key that it refuses.
    const quoted = apiKey === null ? text : text.replaceAll(apiKey, '***');
    const message = `${baseUrl} answered ${status}: ${quoted.slice(0, QUOTED)}`;
    if (hopeless.has(status)) throw new CxmindError('CONFIG_INVALID', message);
    const mayPass = passing.has(status) || status >= 500;
    throw new Failure(message, mayPass, retryAfterOf(headers.get('retry-after')));
  }

  #backoff(attempt: number): number {
    const { firstDelayMs = 500 } = this.#options;
    const whole = Math.min(LONGEST_DELAY_MS, firstDelayMs * 2 ** attempt);
    return whole * (1 - 0.25 * Math.random());
  }
}

function urlOf(baseUrl: string, azure: ChatClientOptions['azure']): string {
  if (azure === undefined) return `${baseUrl}/chat/completions`;
  const query = new URLSearchParams({ 'api-version': azure.apiVersion }).toString();
  return `${baseUrl}/openai/deployments/${azure.deployment}/chat/completions?${query}`;
}

function authorization({ apiKey, azure }: ChatClientOptions): Record<string, string> {
  if (apiKey === null) return {};
  return azure === undefined ? { authorization: `Bearer ${apiKey}` } : { 'api-key': apiKey };
}

function answerIn(text: string): ChatAnswer {
  const json = parsedJson(text);
  if (json === undefined) {
    throw new Failure(`the answer is no JSON: ${text.slice(0, QUOTED)}`, true);
  }
  // Nobody needs a list of all that is wrong, which may take long for a long body.
  if (!Completion.is(json) || json.choices[0] === undefined) {
    throw new Failure(`the answer is no completion: ${text.slice(0, QUOTED)}`, true);
  }
  return {
    content: json.choices[0].message.content,
    promptTokens: json.usage?.prompt_tokens ?? 0,
    completionTokens: json.usage?.completion_tokens ?? 0,
  };
}

/** Text of a body, which may not be longer than any completion. */
async function boundedText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) throw new Error(`an answer of more than ${MAX_BODY_BYTES} bytes`);
  }
  return Buffer.concat(chunks).toString();
}

/** Wait that a `Retry-After` header asks for, seconds or a date; null without one. */
function retryAfterOf(header: string | null): number | null {
  if (header === null || header.trim() === '') return null;
  const seconds = Number(header);
  const waitMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(waitMs) ? null : Math.min(LONGEST_RETRY_AFTER_MS, Math.max(0, waitMs));
}

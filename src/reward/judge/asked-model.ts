/** Requests to a model behind an endpoint. Equal ones are sent once: the others get the same answer, or a kept one. */
import { hash } from 'node:crypto';
import type { JudgeSettings } from '../../config/judge-schema.ts';
import { attempt, CxmindError } from '../../errors.ts';
import { AnswerCache } from './answer-cache.ts';
import { ChatClient, type ChatAnswer, type ChatRequest } from './chat-client.ts';

/** Client of an endpoint, the cache of its answers, and their prices. */
export interface AskedModel {
  readonly client: Pick<ChatClient, 'ask' | 'baseUrl'>;
  /** Null asks every time. */
  readonly cache: AnswerCache | null;
  /** Prices, in a currency of the user's. */
  readonly inputCostPerToken: number;
  readonly outputCostPerToken: number;
}

/** Costs of asking, by metric. */
export type AskingCounts = Record<
  'requests' | 'retries' | 'cached' | 'prompt_tokens' | 'completion_tokens' | 'cost',
  number
>;

/** Options of opening a model, beside its settings in the config. */
export interface OpenModelOptions {
  /** Name of the reward, for errors. */
  readonly name: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Hears of the first answer that cannot be written. */
  readonly warn: (message: string) => void;
  /** Delay before the first retry; that of OpenAI's clients if absent. */
  readonly firstDelayMs?: number | undefined;
}

/**
 * Opens the model that a judge's settings name.
 *
 * @throws CONFIG_INVALID for a key or a cache that is not there
 */
export async function openAskedModel(
  settings: JudgeSettings,
  { name, environment, warn, firstDelayMs }: OpenModelOptions,
): Promise<AskedModel> {
  const { baseUrl, maxRetries, maxConcurrency, cacheSize, cachePath } = settings;
  const { inputCostPerToken, outputCostPerToken } = settings;
  const client = new ChatClient({
    ...{ baseUrl, maxRetries, maxConcurrency },
    apiKey: keyIn(environment, settings.apiKeyEnv, name),
    timeoutMs: settings.timeoutSeconds * 1000,
    ...(firstDelayMs !== undefined && { firstDelayMs }),
  });
  const cache = cacheSize === 0 ? null : await AnswerCache.open(cacheSize, cachePath, warn);
  return { client, cache, inputCostPerToken, outputCostPerToken };
}

function keyIn(
  environment: NodeJS.ProcessEnv,
  variable: string | null,
  name: string,
): string | null {
  if (variable === null) return null;
  const key = environment[variable];
  if (key !== undefined && key !== '') return key;
  throw new CxmindError(
    'CONFIG_INVALID',
    `worker.reward.reward_functions: the judge ${name} takes its key from the environment variable ${variable}, which ` +
      'is not set',
  );
}

/** Requests to a model that belong together. Equal ones share an answer. */
export class Asking<T> {
  readonly counts: AskingCounts = {
    ...{ requests: 0, retries: 0, cached: 0 },
    ...{ prompt_tokens: 0, completion_tokens: 0, cost: 0 },
  };
  readonly #model: AskedModel;
  readonly #signal: AbortSignal;
  readonly #asked = new Map<string, Promise<T>>();

  constructor(model: AskedModel, signal: AbortSignal) {
    this.#model = model;
    this.#signal = signal;
  }

  /**
   * Answers a request, from the cache, along with an equal request, or anew.
   *
   * @param read reads an answer; one that it throws at is not kept, since another may be better
   * @throws as `ChatClient.ask`, and what `read` throws
   */
  async answer(request: ChatRequest, read: (content: string) => T): Promise<T> {
    // Models of one name at two addresses are two models.
    const asking = JSON.stringify([this.#model.client.baseUrl, request]);
    const key = hash('sha256', asking);
    const kept = this.#kept(key, read);
    const asked = this.#asked.get(key);
    if (kept !== null || asked !== undefined) {
      this.counts.cached++;
      return kept === null ? await asked! : kept.value;
    }
    const answer = this.#ask(request, key, read);
    this.#asked.set(key, answer);
    return await answer;
  }

  /** Kept answer as `read` reads it; null without one. An answer that `read` throws at, as another kept it, is none. */
  #kept(key: string, read: (content: string) => T): { readonly value: T } | null {
    const content = this.#model.cache?.get(key);
    return content === undefined ? null : attempt(() => ({ value: read(content) }));
  }

  async #ask(request: ChatRequest, key: string, read: (content: string) => T): Promise<T> {
    const { client, cache } = this.#model;
    this.counts.requests++;
    const answer = await client.ask(request, this.#signal, () => this.counts.retries++);
    this.#count(answer);
    const value = read(answer.content);
    await cache?.set(key, answer.content);
    return value;
  }

  #count({ promptTokens, completionTokens }: ChatAnswer): void {
    const { inputCostPerToken, outputCostPerToken } = this.#model;
    this.counts.prompt_tokens += promptTokens;
    this.counts.completion_tokens += completionTokens;
    this.counts.cost += promptTokens * inputCostPerToken + completionTokens * outputCostPerToken;
  }
}

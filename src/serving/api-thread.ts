import { Worker } from 'node:worker_threads';
import { fromWireError } from '../errors.ts';
import type { Grammars } from '../generation/grammar/grammars.ts';
import type { GenerationSession } from '../generation/session.ts';
import type { ApiNews, ApiOrder, ApiSettings } from './api-messages.ts';
import { SessionHost } from './session-host.ts';

/** Parts of this thread that the API's thread uses. */
interface ApiTools {
  readonly session: GenerationSession;
  readonly grammars: Grammars;
  /** Receives errors of the server itself, not of requests. */
  readonly onError: (error: unknown) => void;
}

/** Extension of modules: `.ts` in the sources, `.js` in `dist`. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/**
 * The API in a thread of its own.
 *
 * It reads requests, makes prompts of them, decodes pictures and writes replies. Each takes milliseconds, in which the
 * engine would stand still. An error that nobody expects there ends the process, as it would here.
 */
export class ApiThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #host: SessionHost;
  readonly #onError: ApiTools['onError'];
  #answer = Promise.withResolvers<string | null>();

  private constructor(settings: ApiSettings, { session, grammars, onError }: ApiTools) {
    const entry = new URL(`./api-entry${extension}`, import.meta.url);
    this.#worker = new Worker(entry, { workerData: settings });
    this.#host = new SessionHost(session, grammars, (news) => this.#send(news));
    this.#onError = onError;
    this.#worker.on('message', (news: ApiNews) => this.#take(news));
  }

  /**
   * Starts the thread, which does not listen yet.
   *
   * @throws CHECKPOINT_INVALID where the model's directory has no tokenizer or template that can be served
   */
  static async start(settings: ApiSettings, tools: ApiTools): Promise<ApiThread> {
    const thread = new ApiThread(settings, tools);
    try {
      await thread.#answer.promise;
      return thread;
    } catch (error) {
      await thread.#worker.terminate();
      throw error;
    }
  }

  /** Begins to listen. @returns the address, `http://127.0.0.1:8000` */
  async listen(host: string, port: number): Promise<string> {
    return (await this.#ask({ kind: 'listen', host, port }))!;
  }

  /** Takes no more requests, and ends once those that are open are answered. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ask({ kind: 'close' });
    await this.#worker.terminate();
  }

  #ask(order: ApiOrder): Promise<string | null> {
    this.#answer = Promise.withResolvers();
    this.#send(order);
    return this.#answer.promise;
  }

  #send(order: ApiOrder): void {
    this.#worker.postMessage(order);
  }

  #take(news: ApiNews): void {
    if (news.kind === 'done') this.#answer.resolve(news.value);
    else if (news.kind === 'refused') this.#answer.reject(fromWireError(news.error));
    else if (news.kind === 'error') this.#onError(fromWireError(news.error));
    else this.#host.take(news);
  }
}

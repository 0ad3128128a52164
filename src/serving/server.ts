/**
 * HTTP server of OpenAI's chat API over one engine.
 *
 * Requests join the engine's running batch as they come (continuous batching), up to a number of open ones; more are
 * told to come again. A client that leaves frees its slot.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { ApiSettings } from './api-messages.ts';
import { BodyReader, busy } from './body.ts';
import { readChatRequest } from './chat-request.ts';
import { complete, type CompletionTools } from './completion.ts';
import { promptOf, type ConversationOptions } from './conversation.ts';
import {
  bearerOf,
  isSameSecret,
  listenAt,
  pathOf,
  routeOf,
  send,
  sendError,
  type Route,
  type Routes,
} from './http.ts';
import { errorReply, refusal } from './refusal.ts';
import { logProbWriter, replyHead, WholeReply } from './replies.ts';
import { StreamedReply } from './streamed-reply.ts';

/** Everything that a server needs. */
interface ServerOptions
  extends CompletionTools, ConversationOptions, Omit<ApiSettings, 'chat' | 'maxModelLen'> {
  /** Receives errors of the server itself, not of requests. */
  readonly onError: (error: unknown) => void;
}

/** Time for a request's header, and for all of it, in ms. Slow senders hold no connection for long. */
const HEADER_MS = 10_000;
const REQUEST_MS = 60_000;
/**
 * Time for which a connection may be idle, in ms. It is longer than clients keep idle connections, so that the server
 * closes none just as a request arrives on it, which the client would see as a reset.
 */
const KEEP_ALIVE_MS = 75_000;
/** Time for which a reader of a complete reply may stand still, in ms. */
const READER_MS = 30_000;
const MOST_CONNECTIONS = 1024;

/** A server, from `listen` to `close`. */
export class ChatServer {
  readonly #options: ServerOptions;
  readonly #bodies: BodyReader;
  readonly #server: Server;
  readonly #started = Math.floor(Date.now() / 1000);
  readonly #open = new Set<Promise<void>>();
  #isDraining = false;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#bodies = new BodyReader(options);
    const timeouts = {
      headersTimeout: HEADER_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    this.#server = createServer(timeouts, (request, response) => {
      void this.#answer(request, response);
    });
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /** Begins to listen. @returns the address, `http://127.0.0.1:8000` */
  listen(host: string, port: number): Promise<string> {
    return listenAt(this.#server, host, port);
  }

  /** Takes no more requests. @returns once those that are open are answered */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#isDraining = true;
    const closed = once(this.#server, 'close');
    this.#server.close();
    await Promise.allSettled(this.#open);
    this.#server.closeIdleConnections();
    const enough = new AbortController();
    const { signal } = enough;
    await Promise.race([closed, delay(READER_MS, null, { signal, ref: true })]);
    enough.abort();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#routeOf(request)(request, response);
    } catch (error) {
      if (response.destroyed) return;
      sendError(response, error, this.#options.onError);
    }
    // A body that nobody reads any more would hold the connection.
    if (!request.complete) request.resume();
    response.socket?.setTimeout(READER_MS);
  }

  /** @throws DATA_INVALID, a refusal with status 401, 404, 405 or 503 */
  #routeOf({ method = '', url = '', headers }: IncomingMessage): Route {
    const path = pathOf(url);
    if (path !== '/health') this.#checkKey(headers.authorization);
    return routeOf(this.#routes(), path, method);
  }

  #routes(): Routes {
    const model = {
      id: this.#options.servedModelName,
      object: 'model',
      created: this.#started,
      owned_by: 'cxmind',
      max_model_len: this.#options.session.capacity,
    };
    return {
      '/health': { GET: (_, response) => this.#health(response) },
      '/v1/models': {
        GET: (_, response) => send(response, 200, { object: 'list', data: [model] }),
      },
      [`/v1/models/${this.#options.servedModelName}`]: {
        GET: (_, response) => send(response, 200, model),
      },
      '/v1/chat/completions': { POST: (request, response) => this.#chat(request, response) },
    };
  }

  #health(response: ServerResponse): void {
    if (this.#isDraining) throw draining();
    send(response, 200, { status: 'ok' });
  }

  #checkKey(authorization: string | undefined): void {
    const { apiKey } = this.#options;
    if (apiKey === null) return;
    if (isSameSecret(bearerOf(authorization), apiKey)) return;
    throw refusal(401, 'a wrong API key, or none', { reason: 'invalid_api_key' });
  }

  async #chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#isDraining) throw draining();
    await this.#bodies.with(request, (text) => this.#admit(text, response));
  }

  async #admit(text: string, response: ServerResponse): Promise<void> {
    if (this.#open.size >= this.#options.mostOpen) {
      throw busy(`${this.#open.size} requests run or wait, which is the most`);
    }
    const work = this.#complete(text, response);
    this.#open.add(work);
    try {
      await work;
    } finally {
      this.#open.delete(work);
    }
  }

  async #complete(text: string, response: ServerResponse): Promise<void> {
    const options = this.#options;
    const left = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) left.abort();
    });
    const request = readChatRequest(text);
    const { model, n, bestOf, logprobs, stream } = request;
    if (model !== options.servedModelName) {
      const message = `no model ${model.slice(0, 100)}, this server has ${options.servedModelName}`;
      throw refusal(404, message, { param: 'model', reason: 'model_not_found' });
    }
    const prompt = await promptOf(request, options, left.signal);
    const head = replyHead(model);
    const writeLogProbs = logprobs === true ? logProbWriter(options.tokenBytes) : null;
    if (stream !== true) {
      const reply = new WholeReply(head, bestOf ?? n ?? 1, writeLogProbs);
      const usage = await complete(request, prompt, options, reply.onText, left.signal);
      send(response, 200, reply.body(usage, n ?? 1));
      return;
    }
    const hasUsage = request.streamOptions?.includeUsage === true;
    const reply = new StreamedReply(head, hasUsage, writeLogProbs, response);
    try {
      reply.end(await complete(request, prompt, options, reply.onText, left.signal));
    } catch (error) {
      if (!response.headersSent || left.signal.aborted) throw error;
      options.onError(error);
      reply.fail(errorReply(error).body);
    }
  }
}

function draining(): Error {
  return refusal(503, 'the server is closing', { headers: { connection: 'close' } });
}

/**
 * HTTP server of the dashboard: the page, its API and its events, over the files of runs.
 *
 * It reads the files of runs, and writes only requests to them. So it serves runs of this process, of other processes
 * and of other hosts alike, while they go on and afterwards.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isSameSecret, listenAt, pathOf, routeOf, sendError, type Route } from '../serving/http.ts';
import { refusal } from '../serving/refusal.ts';
import { pageAssets } from './http/assets.ts';
import { EventStream } from './http/event-stream.ts';
import { checkSource, checkToken, cookieWith, securityHeaders } from './http/guard.ts';
import { Query } from './http/query.ts';
import { listRoutes, runRoutes } from './http/run-routes.ts';
import type { RunControl } from './run-control.ts';
import { Runs } from './runs.ts';

/** Options of a dashboard. */
export interface DashboardOptions {
  /** Folders of runs, or folders with such folders in them. */
  readonly folders: readonly string[];
  readonly control: RunControl;
  /** Secret of the printed URL. */
  readonly token: string;
  /** Hears of errors that are the server's own. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds between two looks at the files of runs that pages show; a second by default. */
  readonly lookMs?: number;
}

/** Time for a request's header, and for all of it, in ms. */
const HEADER_MS = 10_000;
const REQUEST_MS = 30_000;
const MOST_CONNECTIONS = 256;
const LOOK_MS = 1000;

const ofRun = /^\/api\/runs\/([^/]+)(?:\/(.*))?$/;

/** A dashboard, from `listen` until it is disposed of. */
export class Dashboard implements AsyncDisposable {
  readonly #options: DashboardOptions;
  readonly #runs: Runs;
  readonly #events: EventStream;
  readonly #assetOf = pageAssets();
  readonly #server: Server;
  #host = 'localhost';

  constructor(options: DashboardOptions) {
    const { folders, control, onError, lookMs = LOOK_MS } = options;
    this.#options = options;
    this.#runs = new Runs(folders, control);
    this.#events = new EventStream(this.#runs, { lookMs, onError });
    const timeouts = { headersTimeout: HEADER_MS, requestTimeout: REQUEST_MS };
    this.#server = createServer(timeouts, (request, response) => {
      void this.#answer(request, response);
    });
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /** Begins to listen. @returns the URL to open, with the token in it */
  async listen(host: string, port: number): Promise<string> {
    this.#host = host;
    const address = await listenAt(this.#server, host, port);
    return `${address}/?token=${this.#options.token}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#events.close();
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    try {
      checkSource(request, this.#host);
      if (this.#takesToken(request, response)) return;
      checkToken(request, this.#options.token);
      await (
        await this.#routeOf(request)
      )(request, response);
    } catch (error) {
      if (response.destroyed || response.headersSent) {
        response.destroy();
      } else {
        sendError(response, error, this.#options.onError);
      }
    }
    // A body that nobody reads any more would hold the connection.
    if (!request.complete) request.resume();
  }

  /** Turns the token of the printed URL into a cookie, and shows the page without it. */
  #takesToken(request: IncomingMessage, response: ServerResponse): boolean {
    const { url = '', method } = request;
    const { token } = this.#options;
    const [given = ''] = new Query(url).texts('token');
    if (method !== 'GET' || pathOf(url) !== '/' || !isSameSecret(given, token)) return false;
    response.writeHead(303, { 'set-cookie': cookieWith(token, request), location: '/' });
    response.end();
    return true;
  }

  /** @throws DATA_INVALID, a refusal with status 404 or 405 */
  async #routeOf({ method = '', url = '' }: IncomingMessage): Promise<Route> {
    const path = pathOf(url);
    const [, id, rest = ''] = ofRun.exec(path) ?? [];
    if (id !== undefined) {
      return routeOf(runRoutes(await this.#runs.of(id), this.#options.control), rest, method);
    }
    const asset = path.startsWith('/api/') ? undefined : this.#assetOf(path);
    if (asset === undefined) {
      const events = { GET: (_: IncomingMessage, to: ServerResponse) => this.#events.add(to) };
      return routeOf({ ...listRoutes(this.#runs), '/api/events': events }, path, method);
    }
    if (method !== 'GET') throw refusal(405, `${path} takes GET`, { headers: { allow: 'GET' } });
    return (_, response) => {
      const { type, content } = asset;
      response.writeHead(200, { 'content-type': type, 'content-length': content.length });
      response.end(content);
    };
  }
}

/** Parts that every HTTP server of cxmind has: routes, secrets, replies in JSON, and the address it listens on. */
import { hash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { attempt, CxmindError } from '../errors.ts';
import { errorReply, isRefusal, refusal } from './refusal.ts';

/** Answers a request. */
export type Route = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** Routes by path, then by method. */
export type Routes = Readonly<Partial<Record<string, Readonly<Partial<Record<string, Route>>>>>>;

/** The route of a request. @throws DATA_INVALID, a refusal with status 404 or 405 */
export function routeOf(routes: Routes, path: string, method: string): Route {
  const found = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (found === undefined) throw refusal(404, `no route ${method} ${path.slice(0, 100)}`);
  const route = Object.hasOwn(found, method) ? found[method] : undefined;
  if (route !== undefined) return route;
  const allow = Object.keys(found).join(', ');
  throw refusal(405, `${path} takes ${allow}`, { headers: { allow } });
}

/** A URL's path without its query and escapes; one with broken escapes as it is. */
export function pathOf(url: string): string {
  const path = url.split('?')[0]!;
  return attempt(() => decodeURIComponent(path)) ?? path;
}

/** The key of a header `Authorization: Bearer KEY`; empty without one. */
export function bearerOf(authorization: string | undefined): string {
  return /^Bearer (.+)$/i.exec(authorization ?? '')?.[1] ?? '';
}

/** Compares secrets in a time that tells nothing of them. */
export function isSameSecret(given: string, secret: string): boolean {
  const digest = (text: string): Buffer => hash('sha256', text, 'buffer');
  return timingSafeEqual(digest(given), digest(secret));
}

/** Sends a reply in JSON. */
export function send(
  response: ServerResponse,
  status: number,
  body: object | null,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body);
  const sized = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  response.writeHead(status, { ...sized, ...headers });
  response.end(text);
}

/** Answers with an error; one that is the server's own goes to `onError` too. */
export function sendError(
  response: ServerResponse,
  error: unknown,
  onError: (error: unknown) => void,
): void {
  if (!isRefusal(error)) onError(error);
  const { status, headers, body } = errorReply(error);
  send(response, status, body, headers);
}

/** Begins to listen. @returns the address, `http://127.0.0.1:8000` @throws CONFIG_INVALID for a port that is in use */
export async function listenAt(server: Server, host: string, port: number): Promise<string> {
  server.listen(port, host);
  await once(server, 'listening').catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    const way = 'name another by --port, or 0 for a free one';
    throw new CxmindError('CONFIG_INVALID', `port ${port} of ${host} is in use; ${way}`, { cause });
  });
  const { address, family, port: taken } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`;
}

/** Tells whether a host to listen on is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

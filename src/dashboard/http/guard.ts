/**
 * Checks who uses the dashboard.
 *
 * - The token of the printed URL becomes a cookie that scripts cannot read and other sites do not send; programs may send
 *   it as `Authorization: Bearer`. It is compared in constant time.
 * - A name in the header `Host` has to be this server's own. A page of another site whose name resolves to this address
 *   (DNS rebinding) sends its own name. Addresses in digits resolve to nothing else and are let through.
 * - A request that changes something has to be JSON, and its `Origin`, if there is one, this server: no form and no page
 *   of another site can send it.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { bearerOf, isSameSecret } from '../../serving/http.ts';
import { refusal } from '../../serving/refusal.ts';

/** Headers of every answer: nothing is loaded from elsewhere, framed or kept. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/**
 * @param own host that the server listens on, in the words of the flag `--host`
 * @throws DATA_INVALID, a refusal with status 403 or 421, for a request that another site may have made
 */
export function checkSource({ headers, method }: IncomingMessage, own: string): void {
  const { host = '', origin } = headers;
  const name = nameOf(host);
  const names = ['localhost', own.toLowerCase(), hostname().toLowerCase()];
  if (isIP(name) === 0 && !names.includes(name)) {
    throw refusal(
      421,
      `no host ${host.slice(0, 100)} here; open the URL that the dashboard printed`,
    );
  }
  if (method === 'GET' || method === 'HEAD') return;
  const isJson = /^application\/json\b/i.test(headers['content-type'] ?? '');
  const isOwnPage = origin === undefined || origin === `http://${host}`;
  if (!isJson || !isOwnPage) throw refusal(403, 'a request in JSON from the own page is wanted');
}

/** @throws DATA_INVALID, a refusal with status 401, without the token */
export function checkToken({ headers }: IncomingMessage, token: string): void {
  const given = [bearerOf(headers.authorization), cookieOf(headers)];
  if (given.some((one) => isSameSecret(one, token))) return;
  throw refusal(401, 'a wrong token, or none; open the URL that the dashboard printed');
}

/** The cookie for a browser that opened the page with the token in its URL. */
export function cookieWith(token: string, { headers }: IncomingMessage): string {
  return `${cookieName(headers)}=${token}; Path=/; HttpOnly; SameSite=Strict`;
}

/** The name in a header `Host`, in lower case, without its port. */
function nameOf(host: string): string {
  const [, name = ''] = /^\[?(.*?)\]?(?::\d+)?$/.exec(host.toLowerCase()) ?? [];
  return name;
}

/** Cookies do not know ports, so the name has it: each dashboard of a machine has its own. */
function cookieName({ host = '' }: IncomingMessage['headers']): string {
  return `cxmind-${/:(\d+)$/.exec(host)?.[1] ?? '80'}`;
}

function cookieOf(headers: IncomingMessage['headers']): string {
  const name = cookieName(headers);
  const pairs = (headers.cookie ?? '').split(';').map((pair) => pair.trim().split('='));
  return pairs.find(([key]) => key === name)?.[1] ?? '';
}

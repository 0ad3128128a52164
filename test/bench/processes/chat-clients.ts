/**
 * Clients of a chat server in a process of their own. Each sends one request after the other. A message
 * `{ url, clients, requests, body }` is answered with the tokens of all answers and the seconds that they took.
 *
 * They share the machine with the server, so they speak HTTP over plain sockets, at a third of what `fetch` costs.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Orders for the clients. */
export interface ClientOrder {
  readonly url: string;
  readonly clients: number;
  /** Requests of all clients together. */
  readonly requests: number;
  readonly body: object;
}

/** Tokens that they got, and how long it took. */
export interface ClientResult {
  readonly tokens: number;
  readonly seconds: number;
}

/** The bytes of a request. */
function requestOf({ url, body }: ClientOrder, seed: number): string {
  const { host, pathname } = new URL(url);
  const json = JSON.stringify({ ...body, seed });
  const head = `POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json`;
  return `${head}\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`;
}

/** Tells whether a reply is complete, one of known length or one in chunks. */
function isComplete(reply: string): boolean {
  const body = reply.indexOf('\r\n\r\n') + 4;
  if (body < 4) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(reply.slice(0, body))?.[1];
  return length === undefined
    ? reply.endsWith('\r\n0\r\n\r\n')
    : reply.length === body + Number(length);
}

/** Sends a request, and waits for the whole reply. @returns its number of tokens */
async function ask(socket: Socket, request: string): Promise<number> {
  socket.write(request);
  let reply = '';
  while (!isComplete(reply)) {
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    reply += bytes.toString('latin1');
  }
  if (!reply.startsWith('HTTP/1.1 200')) throw new Error(reply);
  const counts = [...reply.matchAll(/"completion_tokens":(\d+)/g)];
  return Number(counts.at(-1)![1]);
}

async function run(order: ClientOrder): Promise<ClientResult> {
  let [sent, tokens] = [0, 0];
  const { hostname, port } = new URL(order.url);
  const client = async (): Promise<void> => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    while (sent < order.requests) {
      const got = await ask(socket, requestOf(order, sent++));
      tokens += got;
    }
    socket.destroy();
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: order.clients }, client));
  return { tokens, seconds: (performance.now() - start) / 1000 };
}

process.on('message', (order: ClientOrder) => {
  void run(order).then((result) => process.send!(result));
});

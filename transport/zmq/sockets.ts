/** ZeroMQ sockets as both ends of a link use them: options, endpoints, sending and receiving. */
import { setImmediate } from 'node:timers/promises';
import type { Dealer, Router } from 'zeromq';
import { CxmindError } from '../../src/errors.ts';
import { maxChunkBytes } from './bulk-message.ts';
import { maxControlBytes } from './control-message.ts';

/** Time for which a closed socket goes on sending what it has. */
const lingerMs = 500;
/** Times after which a connection, or its handshake, is given up and tried anew. */
const connectMs = 2000;
const handshakeMs = 5000;
const reconnectMs = 100;
const maxReconnectMs = 1000;
/** Received bytes after which other work of the event loop gets a turn. */
const turnBytes = 4 << 20;
/** Cost of a message beside its bytes, in bytes. */
const messageCostBytes = 1 << 14;

const common = {
  linger: lingerMs,
  handshakeInterval: handshakeMs,
  // The windows of the links bound what is on the way. A socket must neither block nor drop.
  sendHighWaterMark: 0,
  sendTimeout: 0,
} as const;

/** Options of every control socket. */
export const controlOptions = { ...common, maxMessageSize: maxControlBytes } as const;
/** Options of every bulk socket. */
export const bulkOptions = { ...common, maxMessageSize: maxChunkBytes } as const;
/** Options of every socket that connects. */
export const connectOptions = {
  connectTimeout: connectMs,
  reconnectInterval: reconnectMs,
  reconnectMaxInterval: maxReconnectMs,
} as const;

/** Address of a listener: two ports of a host, one for control and one for bulk. */
interface Endpoint {
  readonly host: string;
  /** Ports, or `*` for any that is free. */
  readonly control: string;
  readonly bulk: string;
}

/**
 * Parses `tcp://host:control,bulk`, or `tcp://host:*` for any two free ports.
 *
 * @throws CONFIG_INVALID for anything else
 */
export function parseEndpoint(text: string): Endpoint {
  const match = /^tcp:\/\/([^\s,/]+):(?:(\*)|(\d{1,5}),(\d{1,5}))$/.exec(text);
  if (match === null) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `endpoint: expected tcp://host:port,port or tcp://host:*, got ${text}`,
    );
  }
  const [, host = '', any, control = '', bulk = ''] = match;
  return any === undefined ? { host, control, bulk } : { host, control: any, bulk: any };
}

/** ZeroMQ's address of one of the ports. */
export function addressOf({ host }: Endpoint, port: string): string {
  return `tcp://${host}:${port}`;
}

/** True when a socket must speak IPv6 for a host. Asking for it would fail where IPv6 is off. */
export function isIpv6(host: string): boolean {
  return host.startsWith('[');
}

/** Hands every message of a socket to `take` until the socket is closed. Other work gets a turn when there are many. */
export async function pump(
  socket: Dealer | Router,
  take: (parts: Buffer[]) => void,
): Promise<void> {
  let doneBytes = 0;
  for (;;) {
    let parts: Buffer[];
    try {
      parts = await socket.receive();
    } catch (thrown) {
      if (socket.closed) return;
      throw thrown;
    }
    // Nobody could answer by a socket that was closed since the message came.
    if (socket.closed) return;
    take(parts);
    doneBytes += messageCostBytes;
    for (const part of parts) doneBytes += part.length;
    if (doneBytes < turnBytes) continue;
    doneBytes = 0;
    await setImmediate();
  }
}

/** Sends at once, on a socket that is open. A message that it does not take counts as lost on the way. */
export function post(socket: Dealer | Router, parts: Uint8Array | Uint8Array[]): void {
  socket.send(parts).catch(ignore);
}

const ignore = (): void => undefined;

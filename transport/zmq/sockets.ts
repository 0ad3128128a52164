import type { Dealer, Router } from 'zeromq';
import { CxmindError } from '../../src/errors.ts';
import { maxChunkBytes } from './bulk-wire.ts';
import { maxControlBytes } from './control-wire.ts';

/** How long a closed socket goes on sending what it has. */
const lingerMs = 500;
/** How long a connection may take, and its handshake, before it is given up and tried anew. */
const connectMs = 2000;
const handshakeMs = 5000;
const reconnectMs = 100;
const maxReconnectMs = 1000;
/** Work between two breaths of the event loop, in bytes received. */
const breathBytes = 4 << 20;
/** What a message costs beside its bytes, in the same currency. */
const messageCostBytes = 1 << 14;

const common = {
  linger: lingerMs,
  handshakeInterval: handshakeMs,
  // what is on the way is bounded by the windows of the links; a socket must neither block nor drop
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

/** Where a listener is: two ports of a host, one for control and one for bulk. */
export interface Endpoint {
  readonly host: string;
  /** Ports, or `*` for any that is free. */
  readonly control: string;
  readonly bulk: string;
}

/**
 * The parts of `tcp://host:control,bulk`, or of `tcp://host:*` for any two free ports.
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

export function formatEndpoint({ host, control, bulk }: Endpoint): string {
  return `tcp://${host}:${control},${bulk}`;
}

/** ZeroMQ's address of one of the ports. */
export function addressOf({ host }: Endpoint, port: string): string {
  return `tcp://${host}:${port}`;
}

/** Whether a socket must speak IPv6 for a host: where IPv6 is off, asking for it would fail. */
export function isIpv6(host: string): boolean {
  return host.startsWith('[');
}

/**
 * Hands every message of a socket to `take` until the socket is closed, and lets the event loop breathe when
 * there are many.
 */
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
    // it may have been closed since the message came, and whoever takes it would answer
    if (socket.closed) return;
    take(parts);
    doneBytes += messageCostBytes;
    for (const part of parts) doneBytes += part.length;
    if (doneBytes < breathBytes) continue;
    doneBytes = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * Sends at once, on a socket that is open. What it does not take is as good as lost on the way, and is sent again
 * like that.
 */
export function post(socket: Dealer | Router, parts: Uint8Array | Uint8Array[]): void {
  socket.send(parts).catch(forget);
}

function forget(): void {
  // see `post`
}

import { randomUUID } from 'node:crypto';
import { Dealer } from 'zeromq';
import * as E from 'fp-ts/lib/Either.js';
import { CxmindError } from '../../src/errors.ts';
import type { Logger } from '../../src/log.ts';
import type { Link } from '../link.ts';
import { decodeControl } from './control-reader.ts';
import type { Terms } from './control-wire.ts';
import { encodeTerms } from './control-writer.ts';
import type { JoinKeys, Unprotected } from './keys.ts';
import { ZmqLink, type Wire } from './link.ts';
import { checkHeartbeat, defaultHeartbeat, type Heartbeat } from './liveness.ts';
import {
  addressOf,
  bulkOptions,
  connectOptions,
  controlOptions,
  isIpv6,
  parseEndpoint,
  post,
  pump,
} from './sockets.ts';

/** How often to ask for a welcome. */
const helloMs = 250;

/** What both ends of a link may choose. */
export interface LinkOptions {
  /** What to call ourselves; the other end sees it as `peer`. */
  readonly name: string;
  readonly heartbeat?: Heartbeat;
  /** Bulk bytes that a channel holds for a receiver that does not take them; 64 MiB when not given. */
  readonly creditBytes?: number;
  readonly log?: Logger;
}

export interface ConnectOptions extends LinkOptions {
  /** As a listener gave it: `tcp://host:port,port`. */
  readonly endpoint: string;
  readonly keys: JoinKeys | Unprotected;
  /** How long to wait for a listener that does not answer; `deadAfterMs` when not given. */
  readonly timeoutMs?: number;
}

/**
 * A link to the listener at an endpoint.
 *
 * @throws PEER_LOST when nobody answers in time, as a listener does not to a wrong key; CONFIG_INVALID for an
 *   endpoint or a heartbeat that is none
 */
export async function connectLink(options: ConnectOptions): Promise<Link> {
  const own = termsOf(options);
  const { timeoutMs = own.deadAfterMs } = options;
  const wire = new DealerWire(options.endpoint, options.keys);
  const hello = encodeTerms('hello', own);
  const { promise, resolve } = Promise.withResolvers<Terms | undefined>();
  wire.onControl = (message) => {
    const decoded = decodeControl(message);
    if (E.isRight(decoded) && decoded.right.kind === 'welcome') resolve(decoded.right.terms);
  };
  const asking = setInterval(() => wire.sendControl(hello), helloMs);
  const timeout = setTimeout(() => resolve(undefined), timeoutMs);
  wire.sendControl(hello);
  const peer = await promise;
  clearInterval(asking);
  clearTimeout(timeout);
  if (peer === undefined) {
    wire.abort();
    throw new CxmindError('PEER_LOST', `link: no answer from ${options.endpoint}`);
  }
  const link = new ZmqLink({ wire, own, peer, isConnector: true, log: options.log });
  wire.onControl = (message) => link.takeControl(message);
  wire.onBulk = (parts) => link.takeBulk(parts);
  link.greet();
  return link;
}

/** What an end with these options tells about itself. @throws CONFIG_INVALID */
export function termsOf({ name, heartbeat = defaultHeartbeat, creditBytes }: LinkOptions): Terms {
  checkHeartbeat(heartbeat);
  const { intervalMs, deadAfterMs } = heartbeat;
  return { name, creditBytes: creditBytes ?? 64 << 20, intervalMs, deadAfterMs };
}

/** Two Dealers under one name, which a listener's Routers know this end by. */
class DealerWire implements Wire {
  onControl: (message: Buffer) => void = () => undefined;
  onBulk: (parts: Buffer[]) => void = () => undefined;
  readonly #endpoint: string;
  readonly #keys: JoinKeys | Unprotected;
  readonly #session = randomUUID();
  #control: Dealer;
  #bulk: Dealer;

  constructor(endpoint: string, keys: JoinKeys | Unprotected) {
    this.#endpoint = endpoint;
    this.#keys = keys;
    [this.#control, this.#bulk] = this.#connect();
  }

  sendControl(message: Buffer): void {
    post(this.#control, message);
  }

  sendBulk(head: Buffer, bytes?: Uint8Array): void {
    post(this.#bulk, bytes === undefined ? head : [head, bytes]);
  }

  renew(): void {
    this.abort();
    [this.#control, this.#bulk] = this.#connect();
  }

  close(): void {
    this.#control.close();
    this.#bulk.close();
  }

  /** Closes without sending what is left. */
  abort(): void {
    this.#control.linger = 0;
    this.#bulk.linger = 0;
    this.close();
  }

  #connect(): [Dealer, Dealer] {
    const endpoint = parseEndpoint(this.#endpoint);
    const options = {
      ...connectOptions,
      routingId: this.#session,
      ipv6: isIpv6(endpoint.host),
      ...curveOptions(this.#keys),
    };
    const control = new Dealer({ ...controlOptions, ...options });
    const bulk = new Dealer({ ...bulkOptions, ...options });
    control.connect(addressOf(endpoint, endpoint.control));
    bulk.connect(addressOf(endpoint, endpoint.bulk));
    void pump(control, ([message]) => this.onControl(message!));
    void pump(bulk, (parts) => this.onBulk(parts));
    return [control, bulk];
  }
}

function curveOptions(keys: JoinKeys | Unprotected): Partial<Dealer> {
  if (keys === 'unprotected') return {};
  return {
    curveServerKey: keys.serverPublicKey,
    curvePublicKey: keys.clientPublicKey,
    curveSecretKey: keys.clientSecretKey,
  };
}

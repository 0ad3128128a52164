/** The end of a link that connects: it says hello until it is welcomed, and makes its connections anew. */
import { randomUUID } from 'node:crypto';
import { Dealer } from 'zeromq';
import { attempt, CxmindError } from '../../src/errors.ts';
import type { Link } from '../link.ts';
import { decodeControl, encodeTerms, type Terms } from './control-message.ts';
import type { JoinKeys } from './keys.ts';
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

/** Interval of asking for a welcome. */
const helloMs = 250;
const defaultCreditBytes = 64 << 20;

/** Options that both ends of a link have. */
export interface LinkOptions {
  /** Name of this end, which the other end sees as `peer`. */
  readonly name: string;
  readonly heartbeat?: Heartbeat;
  /** Bulk bytes that a channel holds for a receiver that does not take them; 64 MiB by default. */
  readonly creditBytes?: number;
}

/** Options of the end that connects. */
export interface ConnectOptions extends LinkOptions {
  /** The endpoint of a listener: `tcp://host:port,port`. */
  readonly endpoint: string;
  readonly keys: JoinKeys;
  /** Longest wait for a listener that does not answer; `deadAfterMs` by default. */
  readonly timeoutMs?: number;
}

/**
 * Makes a link to the listener at an endpoint.
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
    // Other messages are dropped. The link asks for them again, once it is made.
    const decoded = attempt(() => decodeControl(message));
    if (decoded?.kind === 'welcome') resolve(decoded.terms);
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
  const link = new ZmqLink({ wire, own, peer, isConnector: true });
  wire.onControl = (message) => link.takeControl(message);
  wire.onBulk = (frames) => link.takeBulk(frames);
  return link;
}

/** The terms of an end with these options. @throws CONFIG_INVALID for a heartbeat that is none */
export function termsOf(options: LinkOptions): Terms {
  const { name, heartbeat = defaultHeartbeat, creditBytes = defaultCreditBytes } = options;
  checkHeartbeat(heartbeat);
  const { intervalMs, deadAfterMs } = heartbeat;
  return { name, creditBytes, intervalMs, deadAfterMs };
}

/** Two Dealers with one routing id, by which the Routers of a listener know this end also over new connections. */
class DealerWire implements Wire {
  onControl: (message: Buffer) => void = () => undefined;
  onBulk: (frames: Buffer[]) => void = () => undefined;
  readonly #endpoint: string;
  readonly #keys: JoinKeys;
  readonly #session = randomUUID();
  #control: Dealer;
  #bulk: Dealer;

  constructor(endpoint: string, keys: JoinKeys) {
    this.#endpoint = endpoint;
    this.#keys = keys;
    [this.#control, this.#bulk] = this.#connect();
  }

  sendControl(message: Buffer): void {
    post(this.#control, message);
  }

  sendBulk(frames: Uint8Array[]): void {
    post(this.#bulk, frames);
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
    const { serverPublicKey, clientPublicKey, clientSecretKey } = this.#keys;
    const options = {
      ...connectOptions,
      routingId: this.#session,
      ipv6: isIpv6(endpoint.host),
      curveServerKey: serverPublicKey,
      curvePublicKey: clientPublicKey,
      curveSecretKey: clientSecretKey,
    };
    const control = new Dealer({ ...controlOptions, ...options });
    const bulk = new Dealer({ ...bulkOptions, ...options });
    control.connect(addressOf(endpoint, endpoint.control));
    bulk.connect(addressOf(endpoint, endpoint.bulk));
    void pump(control, ([message]) => this.onControl(message!));
    void pump(bulk, (frames) => this.onBulk(frames));
    return [control, bulk];
  }
}

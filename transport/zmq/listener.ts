import { Context, Router } from 'zeromq';
import { attempt, CxmindError } from '../../src/errors.ts';
import type { Link } from '../link.ts';
import { termsOf, type LinkOptions } from './connect.ts';
import { atStart, decodeControl, encodeEnd, encodeTerms, type Terms } from './control-message.ts';
import { openGatekeeper, type Gatekeeper } from './gatekeeper.ts';
import type { RunKeys } from './keys.ts';
import { ZmqLink, type Wire } from './link.ts';
import {
  addressOf,
  bulkOptions,
  controlOptions,
  isIpv6,
  parseEndpoint,
  post,
  pump,
} from './sockets.ts';

/** Peers that said hello and nothing since. More of them are not let in. */
const maxGuests = 1024;

/** Options of the end that listens. */
export interface ListenOptions extends Partial<LinkOptions> {
  /** `tcp://host:*` for free ports, or `tcp://host:port,port`; the host is an address of this machine. */
  readonly address: string;
  readonly keys: RunKeys;
}

/** Session of a peer. It is a guest, of which the program is not told, until the peer speaks on the link. */
interface Session {
  readonly link: ZmqLink;
  isGuest: boolean;
}

/** The end of links that others connect to: two Routers with a session for each peer. */
export class LinkListener implements AsyncDisposable {
  /** The endpoint to connect to, with the host that was given. */
  readonly endpoint: string;
  readonly #control: Router;
  readonly #bulk: Router;
  readonly #gatekeeper: Gatekeeper;
  readonly #own: Terms;
  /** Sessions by the routing ids of their peers. */
  readonly #sessions = new Map<string, Session>();
  readonly #unannounced: Link[] = [];
  #onLink: ((link: Link) => void) | undefined;
  #dropped = 0;
  #isClosing = false;

  private constructor(
    [control, bulk]: [Router, Router],
    gatekeeper: Gatekeeper,
    endpoint: string,
    own: Terms,
  ) {
    this.endpoint = endpoint;
    this.#control = control;
    this.#bulk = bulk;
    this.#gatekeeper = gatekeeper;
    this.#own = own;
    void pump(control, ([from, message, ...more]) => {
      this.#takeControl(from!, message === undefined || more.length > 0 ? empty : message);
    });
    void pump(bulk, ([from, ...frames]) => this.#takeBulk(from!, frames));
  }

  /**
   * Listens for holders of the run's client key.
   *
   * @throws CONFIG_INVALID for an address that is none or cannot be had
   */
  static async bind(options: ListenOptions): Promise<LinkListener> {
    const own = termsOf({ name: 'head', ...options });
    const wanted = parseEndpoint(options.address);
    const { keys } = options;
    // libzmq asks one gatekeeper for each context.
    const context = new Context();
    const gatekeeper = await openGatekeeper(context, keys.client.publicKey);
    const router = {
      context,
      handover: true,
      ipv6: isIpv6(wanted.host),
      curveServer: true,
      curveSecretKey: keys.server.secretKey,
      zapDomain: 'cxmind',
      zapEnforceDomain: true,
    };
    const control = new Router({ ...controlOptions, ...router });
    const bulk = new Router({ ...bulkOptions, ...router });
    try {
      await control.bind(addressOf(wanted, wanted.control));
      await bulk.bind(addressOf(wanted, wanted.bulk));
    } catch (cause) {
      control.close();
      bulk.close();
      gatekeeper[Symbol.dispose]();
      const message = `link: cannot listen at ${options.address}`;
      throw new CxmindError('CONFIG_INVALID', message, { cause });
    }
    const endpoint = `tcp://${wanted.host}:${portOf(control)},${portOf(bulk)}`;
    return new LinkListener([control, bulk], gatekeeper, endpoint, own);
  }

  /** Number of messages that belonged to no link and were dropped. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Number of connections that came without the run's key. */
  get refused(): number {
    return this.#gatekeeper.refused;
  }

  /** Sets the one listener for links that others make. Earlier ones are delivered to it first. */
  onLink(listener: (link: Link) => void): void {
    this.#onLink = listener;
    for (const link of this.#unannounced.splice(0)) listener(link);
  }

  /** Closes every link in order, then the sockets. A guest is turned away. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    const sessions = [...this.#sessions.values()];
    for (const { link, isGuest } of sessions) if (isGuest) link.lose(closing());
    await Promise.all(sessions.map(({ link }) => link[Symbol.asyncDispose]()));
    this.#control.close();
    this.#bulk.close();
    this.#gatekeeper[Symbol.dispose]();
  }

  /** Takes a control message: a link's own, a guest's, or a stranger's. */
  #takeControl(from: Buffer, message: Buffer): void {
    const name = from.toString('latin1');
    const session = this.#sessions.get(name);
    if (session !== undefined && !session.isGuest) {
      session.link.takeControl(message);
      return;
    }
    const decoded = attempt(() => decodeControl(message));
    if (decoded === null) {
      this.#dropped++;
    } else if (decoded.kind === 'hello') {
      if (session === undefined && !this.#admit(from, name, decoded.terms)) return;
      post(this.#control, [from, encodeTerms('welcome', this.#own)]);
    } else if (session !== undefined) {
      this.#announce(session);
      session.link.takeControl(message);
    } else if (decoded.kind !== 'end') {
      // The peer was declared lost and does not know it.
      this.#dropped++;
      post(this.#control, [from, encodeEnd(atStart, 'lost')]);
    }
  }

  #takeBulk(from: Buffer, frames: Buffer[]): void {
    const session = this.#sessions.get(from.toString('latin1'));
    if (session === undefined) this.#dropped++;
    else session.link.takeBulk(frames);
  }

  /** Makes a session for one more guest. False when there is no room. */
  #admit(from: Buffer, name: string, peer: Terms): boolean {
    // A hello that came late or twice must not make a link that outlives the sockets.
    const guests = this.#sessions.values().filter(({ isGuest }) => isGuest);
    if (this.#isClosing || guests.toArray().length >= maxGuests) {
      this.#dropped++;
      return false;
    }
    const wire: Wire = {
      sendControl: (message) => post(this.#control, [from, message]),
      sendBulk: (frames) => post(this.#bulk, [from, ...frames]),
      renew: () => undefined,
      close: () => this.#sessions.delete(name),
    };
    const link = new ZmqLink({ wire, own: this.#own, peer, isConnector: false });
    this.#sessions.set(name, { link, isGuest: true });
    return true;
  }

  #announce(session: Session): void {
    session.isGuest = false;
    if (this.#onLink === undefined) this.#unannounced.push(session.link);
    else this.#onLink(session.link);
  }
}

/** Stands for a message of no or of several frames: it is as invalid as those. */
const empty = Buffer.alloc(0);

function closing(): CxmindError {
  return new CxmindError('PEER_LOST', 'link: the listener was closed');
}

function portOf(socket: Router): string {
  return /:(\d+)$/.exec(socket.lastEndpoint ?? '')?.[1] ?? '';
}

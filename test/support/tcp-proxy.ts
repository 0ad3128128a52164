import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { Transform, type Duplex } from 'node:stream';
import { Rng } from '../../src/rng.ts';

/** A TCP connection of two sockets, each a half of a forwarded connection. */
type Pair = readonly [Socket, Socket];

/** Delay and loss of a network, as users of TCP notice them. */
export interface NetworkConditions {
  /** Delay in one direction. */
  readonly delayMs: number;
  /** Share of the segments that are lost. Later segments wait for a lost one, which is sent again after a round trip. */
  readonly loss: number;
  readonly seed: number;
}

/** Bytes of a segment on Ethernet. */
const segmentBytes = 1448;

/** Forwards the two ports of a link's endpoint, slowly where so told, and can be cut like a cable. */
export class TcpProxy implements AsyncDisposable {
  /** The endpoint to connect to instead. */
  readonly endpoint: string;
  readonly #servers: readonly Server[];
  readonly #pairs: Set<Pair>;
  readonly #state: { isCut: boolean; sentBytes: number };

  private constructor(
    servers: readonly Server[],
    pairs: Set<Pair>,
    state: { isCut: boolean; sentBytes: number },
    host: string,
  ) {
    const ports = servers.map((server) => (server.address() as AddressInfo).port);
    this.endpoint = `tcp://${host}:${ports.join(',')}`;
    this.#servers = servers;
    this.#pairs = pairs;
    this.#state = state;
  }

  static async to(endpoint: string, conditions?: NetworkConditions): Promise<TcpProxy> {
    const [, host = '', ports = ''] = /^tcp:\/\/(.+):([\d,]+)$/.exec(endpoint) ?? [];
    const pairs = new Set<Pair>();
    const state = { isCut: false, sentBytes: 0 };
    let connections = 0;
    const carry = (from: Socket, to: Socket): void => {
      if (conditions === undefined) from.pipe(to);
      else from.pipe(slowCable(conditions, connections++)).pipe(to);
    };
    const separate = (pair: Pair): void => {
      pairs.delete(pair);
      pair.forEach((half) => half.destroy());
    };
    const forward = (port: string): Server =>
      createServer((socket) => {
        if (state.isCut) {
          socket.resetAndDestroy();
          return;
        }
        const far = connect(Number(port), host);
        const pair = [socket, far] as const;
        pairs.add(pair);
        for (const end of pair) {
          end.on('error', () => undefined);
          end.on('close', () => {
            // what it sent last may be on its way
            if (conditions === undefined) separate(pair);
            else setTimeout(separate, 4 * conditions.delayMs, pair);
          });
        }
        socket.on('data', ({ length }) => (state.sentBytes += length));
        carry(socket, far);
        carry(far, socket);
      });
    const servers = ports.split(',').map(forward);
    for (const server of servers) {
      server.listen(0, host);
      await once(server, 'listening');
    }
    return new TcpProxy(servers, pairs, state, host);
  }

  /** Bytes that came from the end that connected. */
  get sentBytes(): number {
    return this.#state.sentBytes;
  }

  /** Resets every connection, and those that are tried, until `heal`. */
  cut(): void {
    this.#state.isCut = true;
    for (const pair of this.#pairs) pair.forEach((socket) => socket.resetAndDestroy());
  }

  heal(): void {
    this.#state.isCut = false;
  }

  /** Lets the present connections stand without carrying anything more, as TCP does over a cut cable. */
  stall(): void {
    for (const pair of this.#pairs) pair.forEach((socket) => socket.unpipe().pause());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    const closed = this.#servers.map((server) => once(server, 'close'));
    for (const server of this.#servers) server.close();
    await Promise.all(closed);
  }
}

/** Passes bytes on in order, each chunk some time after it came. */
function slowCable({ delayMs, loss, seed }: NetworkConditions, connection: number): Duplex {
  const rng = new Rng([seed, connection]);
  const underWay: { readonly chunk: Buffer; readonly arrivesAt: number }[] = [];
  let lastAt = 0;
  let onEmpty: (() => void) | undefined;
  const cable = new Transform({
    // what is on its way is no reason to stop sending
    highWaterMark: 64 << 20,
    transform(chunk: Buffer, _, done) {
      const segments = Math.ceil(chunk.length / segmentBytes);
      const isLost = rng.nextUniform() > (1 - loss) ** segments;
      lastAt = Math.max(lastAt, performance.now() + delayMs + (isLost ? 2 * delayMs : 0));
      if (underWay.push({ chunk, arrivesAt: lastAt }) === 1) arriveLater(lastAt);
      done();
    },
    flush(done) {
      if (underWay.length === 0) done();
      else onEmpty = done;
    },
  });
  // timers of the same millisecond need not fire in order
  const arriveLater = (at: number): void => {
    const arrive = (): void => {
      while (underWay[0] !== undefined && underWay[0].arrivesAt <= performance.now()) {
        cable.push(underWay.shift()!.chunk);
      }
      if (underWay[0] !== undefined) arriveLater(underWay[0].arrivesAt);
      else onEmpty?.();
    };
    setTimeout(arrive, Math.max(1, at - performance.now()));
  };
  return cable;
}

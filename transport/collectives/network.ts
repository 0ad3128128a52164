import { CxmindError } from '../../src/errors.ts';
import type { Link } from '../link.ts';
import { connectLink } from '../zmq/connect.ts';
import { ticketFor, type RunKeys } from '../zmq/keys.ts';
import type { LinkListener } from '../zmq/listener.ts';
import type { Heartbeat } from '../zmq/liveness.ts';
import { lostError } from './call.ts';
import { Peer } from './peer.ts';
import type { Mesh } from './ring.ts';

export interface NetworkOptions {
  /** Address to listen at: `tcp://host:*`, the host being an address of this machine. */
  readonly address: string;
  /** Keys of the group, the same for every rank. They are secrets. */
  readonly keys: RunKeys;
  readonly heartbeat?: Heartbeat;
  /** Longest wait for the other ranks when joining; a minute by default. */
  readonly joinTimeoutMs?: number;
}

/**
 * Connects a rank with every other one, and resolves when all ranks have. The listener is closed with the mesh.
 *
 * @param endpoints of all ranks, in their order
 * @throws PEER_LOST when one does not answer in time
 */
export async function joinMesh(
  listener: LinkListener,
  { keys, heartbeat, joinTimeoutMs: timeoutMs = 60_000 }: NetworkOptions,
  rank: number,
  endpoints: readonly string[],
): Promise<Mesh> {
  const links = new NetworkLinks(rank, listener);
  const timer = setTimeout(() => links.giveUp(), timeoutMs);
  try {
    const rest = { name: String(rank), timeoutMs, ...(heartbeat && { heartbeat }) };
    await Promise.all(
      endpoints.slice(0, rank).map(async (endpoint, other) => {
        const ticket = ticketFor(endpoint, keys);
        links.add(other, await connectLink({ endpoint, keys: ticket, ...rest }));
      }),
    );
    return await links.mesh(endpoints.length);
  } catch (error) {
    await links[Symbol.asyncDispose]();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Links of a rank to all others, with a line over each. */
class NetworkLinks implements AsyncDisposable {
  readonly #rank: number;
  readonly #listener: LinkListener;
  readonly #links = new Map<number, Link>();
  /** Lines that have come or are awaited, by rank. */
  readonly #lines = new Map<number, PromiseWithResolvers<Peer>>();
  readonly #peers: Peer[] = [];
  #failure: CxmindError | undefined;

  constructor(rank: number, listener: LinkListener) {
    this.#rank = rank;
    this.#listener = listener;
    listener.onLink((link) => this.add(Number(link.peer), link));
  }

  add(rank: number, link: Link): void {
    this.#links.set(rank, link);
    link.onChannel((channel) => {
      this.#awaited(rank).resolve(this.#keep(new Peer(channel, rank)));
    });
    void link.ended.then((error) => {
      if (error !== undefined) this.#fail(lostError(rank, error));
    });
  }

  /** Rejects lines that are still awaited. */
  giveUp(): void {
    const missing = [...this.#lines.keys()].filter((rank) => !this.#links.has(rank));
    this.#fail(new CxmindError('PEER_LOST', `ranks did not join in time: ${missing.join(', ')}`));
  }

  /** Makes lines to all ranks of a group. The higher rank of each pair opens theirs. */
  async mesh(size: number): Promise<Mesh> {
    const ranks = Array.from({ length: size }, (_, rank) => rank);
    const peers = await Promise.all(ranks.map((rank) => this.#line(rank)));
    return {
      rank: this.#rank,
      peers,
      close: async () => {
        for (const peer of peers) peer?.close();
        await this[Symbol.asyncDispose]();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links.values()) await link[Symbol.asyncDispose]();
    await this.#listener[Symbol.asyncDispose]();
  }

  #line(rank: number): Promise<Peer | null> {
    if (rank === this.#rank) return Promise.resolve(null);
    if (rank > this.#rank) return this.#awaited(rank).promise;
    return Promise.resolve(this.#keep(new Peer(this.#links.get(rank)!.open(), rank)));
  }

  #awaited(rank: number): PromiseWithResolvers<Peer> {
    const line = this.#lines.get(rank) ?? Promise.withResolvers<Peer>();
    this.#lines.set(rank, line);
    line.promise.catch(() => undefined);
    if (this.#failure !== undefined) line.reject(this.#failure);
    return line;
  }

  #keep(peer: Peer): Peer {
    this.#peers.push(peer);
    if (this.#failure !== undefined) peer.fail(this.#failure);
    return peer;
  }

  /** Fails all lines. A rank that is lost ends the group, also for those who do not wait for it now. */
  #fail(error: CxmindError): void {
    this.#failure ??= error;
    for (const peer of this.#peers) peer.fail(error);
    for (const line of this.#lines.values()) line.reject(error);
  }
}

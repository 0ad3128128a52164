import { CxmindError } from '../../src/errors.ts';
import type { Channel } from '../channel.ts';
import type { Link } from '../link.ts';
import { connectLink } from '../zmq/connect.ts';
import { ticketFor, type RunKeys } from '../zmq/keys.ts';
import type { LinkListener } from '../zmq/listener.ts';
import type { Heartbeat } from '../zmq/liveness.ts';
import { lostError } from './call.ts';
import { Peer } from './peer.ts';
import type { Mesh } from './ring.ts';

/** Options of a rank that joins a group over the network. */
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
 * The higher rank of each pair makes their link, and opens a channel over it.
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
  const links = new Map<number, Link>();
  /** The other ranks with which a channel is open. */
  const open: Peer[] = [];
  const peers = endpoints.map(() => Promise.withResolvers<Peer | null>());
  let failure: CxmindError | undefined;
  // A rank that is lost ends the group, also for those who do not wait for it now.
  const fail = (error: CxmindError): void => {
    failure ??= error;
    for (const peer of open) peer.fail(error);
    for (const { reject } of peers) reject(error);
  };
  const meet = (channel: Channel, other: number): void => {
    const peer = new Peer(channel, other);
    open.push(peer);
    if (failure !== undefined) peer.fail(failure);
    peers[other]?.resolve(peer);
  };
  const add = (other: number, link: Link): void => {
    links.set(other, link);
    link.onChannel((channel) => meet(channel, other));
    void link.ended.then((error) => {
      if (error !== undefined) fail(lostError(other, error));
    });
  };
  const close = async (): Promise<void> => {
    for (const peer of open) peer.close();
    for (const link of links.values()) await link[Symbol.asyncDispose]();
    await listener[Symbol.asyncDispose]();
  };
  const timer = setTimeout(() => {
    const missing = [...endpoints.keys()].filter((other) => other !== rank && !links.has(other));
    fail(new CxmindError('PEER_LOST', `ranks did not join in time: ${missing.join(', ')}`));
  }, timeoutMs);
  listener.onLink((link) => add(Number(link.peer), link));
  peers[rank]!.resolve(null);
  try {
    const all = Promise.all(peers.map(({ promise }) => promise));
    // An error of connecting says more, and is waited for first.
    all.catch(() => undefined);
    const rest = { name: String(rank), timeoutMs, ...(heartbeat && { heartbeat }) };
    const connected = endpoints.slice(0, rank).map(async (endpoint, other) => {
      const link = await connectLink({ endpoint, keys: ticketFor(endpoint, keys), ...rest });
      add(other, link);
      meet(link.open(), other);
    });
    await Promise.all(connected);
    return { rank, peers: await all, close };
  } catch (error) {
    await close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

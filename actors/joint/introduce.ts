/**
 * The trainer's part in joining ranks: it decides how they join, and makes those of several processes known to each
 * other.
 */
import type { Transport } from '../../src/config/schema.ts';
import { threadGroup } from '../../transport/collectives/threads.ts';
import { makeRunKeys } from '../../transport/zmq/keys.ts';
import type { Place } from '../runtime/placement.ts';
import type { ActorRef } from '../runtime/ref.ts';
import { addressesOf } from './host-info.ts';
import type { JointProtocol } from './protocol.ts';
import type { RankInfo } from './rank.ts';

/** Ranks wait a minute for each other and then fail with an error of their own. */
const soon = { timeoutMs: 90_000 };

/** True when actors at these places are all threads of this process. */
export function isTogether(places: readonly Place[]): boolean {
  return places.every((place) => place === 'thread');
}

/** Says how the ranks at these places join each other. */
export function ranksAt(
  places: readonly Place[],
  collectives: Transport['collectives'],
): RankInfo[] {
  const size = places.length;
  if (size === 1) return [{ kind: 'alone' }];
  if (collectives === 'mpi') return places.map((_, rank) => ({ kind: 'mpi', rank, size }));
  if (!isTogether(places)) return places.map((_, rank) => ({ kind: 'processes', rank }));
  const group = threadGroup(size);
  return places.map((_, rank) => ({ kind: 'threads', group, rank }));
}

/** Has ranks of several processes join each other. @param refs in the order of their ranks */
export async function introduce(refs: readonly ActorRef<JointProtocol>[]): Promise<void> {
  const hosts = await Promise.all(refs.map((ref) => ref.ask.hostInfo(undefined, soon)));
  const keys = makeRunKeys();
  const addresses = addressesOf(hosts);
  const rankAddresses = await Promise.all(
    refs.map((ref, rank) => {
      const address = addresses[rank]!;
      const host = address.includes(':') ? `[${address}]` : address;
      return ref.ask.listen({ address: `tcp://${host}:*`, keys }, soon);
    }),
  );
  await Promise.all(refs.map((ref) => ref.ask.join(rankAddresses, soon)));
}

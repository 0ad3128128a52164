import type { Transport } from '../../src/config/schema.ts';
import { discardHostGroup, hostGroup } from '../../transport/collectives/host.ts';
import { threadGroup } from '../../transport/collectives/threads.ts';
import { makeRunKeys } from '../../transport/zmq/keys.ts';
import type { criticProtocol } from '../critic/protocol.ts';
import type { learnerProtocol } from '../learner/protocol.ts';
import type { LearnerSeat, Meeting } from '../learner/seat.ts';
import { addressesOf, sharesMemory } from '../learner/whereabouts.ts';
import type { Place } from '../runtime/placement.ts';
import type { ActorRef } from '../runtime/ref.ts';

/** One of those who train a model together. */
export type JointRef = ActorRef<typeof learnerProtocol> | ActorRef<typeof criticProtocol>;

/** Learners wait for each other a minute, which ends with an error of its own. */
const soon = { timeoutMs: 90_000 };

/** Whether actors at these places are threads of this process, all of them. */
export function isTogether(places: readonly Place[]): boolean {
  return places.every((place) => place === 'thread');
}

/** How learners at these places, in the order of their ranks, join each other. */
export function seatsAt(
  places: readonly Place[],
  collectives: Transport['collectives'],
): LearnerSeat[] {
  const size = places.length;
  if (size === 1) return [{ kind: 'alone' }];
  if (collectives === 'mpi') return places.map((_, rank) => ({ kind: 'mpi', rank, size }));
  if (!isTogether(places)) return places.map((_, rank) => ({ kind: 'processes', rank }));
  const group = threadGroup(size);
  return places.map((_, rank) => ({ kind: 'threads', group, rank }));
}

/** Has learners of several processes, in the order of their ranks, join each other. */
export async function introduce(learners: readonly JointRef[]): Promise<void> {
  const places = await Promise.all(learners.map((ref) => ref.ask.whereabouts(undefined, soon)));
  if (sharesMemory(places)) {
    const group = hostGroup(learners.length);
    try {
      await joinAll(learners, { kind: 'memory', ...group });
    } catch (error) {
      discardHostGroup(group);
      throw error;
    }
    return;
  }
  const keys = makeRunKeys();
  const addresses = addressesOf(places);
  const seats = await Promise.all(
    learners.map((ref, rank) => {
      const address = addresses[rank]!;
      const host = address.includes(':') ? `[${address}]` : address;
      return ref.ask.listen({ address: `tcp://${host}:*`, keys }, soon);
    }),
  );
  await joinAll(learners, { kind: 'network', endpoints: seats.map(({ endpoint }) => endpoint) });
}

async function joinAll(learners: readonly JointRef[], meeting: Meeting): Promise<void> {
  await Promise.all(learners.map((ref) => ref.ask.join(meeting, soon)));
}

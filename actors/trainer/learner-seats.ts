import type { Transport } from '../../src/config/schema.ts';
import { threadGroup } from '../../transport/collectives/threads.ts';
import { makeRunKeys } from '../../transport/zmq/keys.ts';
import type { criticProtocol } from '../critic/protocol.ts';
import type { learnerProtocol } from '../learner/protocol.ts';
import type { LearnerSeat } from '../learner/seat.ts';
import { addressesOf } from '../learner/whereabouts.ts';
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
  const keys = makeRunKeys();
  const addresses = addressesOf(places);
  const cards = await Promise.all(
    learners.map((ref, rank) => {
      const address = addresses[rank]!;
      const host = address.includes(':') ? `[${address}]` : address;
      return ref.ask.listen({ address: `tcp://${host}:*`, keys }, soon);
    }),
  );
  await Promise.all(learners.map((ref) => ref.ask.join(cards, soon)));
}

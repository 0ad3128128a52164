import { CxmindError } from '../../src/errors.ts';
import { discardHostGroup, hostGroup } from '../../transport/collectives/host.ts';
import { threadGroup } from '../../transport/collectives/threads.ts';
import type { Transport } from '../../src/config/schema.ts';
import type { learnerProtocol } from '../learner/protocol.ts';
import type { LearnerSeat } from '../learner/seat.ts';
import type { Place } from '../runtime/placement.ts';
import type { ActorRef } from '../runtime/ref.ts';

const TIMEOUT_MS = 60_000;

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
export async function introduce(
  learners: readonly ActorRef<typeof learnerProtocol>[],
): Promise<void> {
  const options = { timeoutMs: TIMEOUT_MS };
  const hosts = await Promise.all(learners.map((ref) => ref.ask.host(undefined, options)));
  if (new Set(hosts).size > 1) {
    throw new CxmindError('CONFIG_INVALID', 'learners on several hosts: not built yet');
  }
  const meeting = hostGroup(learners.length);
  try {
    await Promise.all(learners.map((ref) => ref.ask.join(meeting, options)));
  } catch (error) {
    discardHostGroup(meeting);
    throw error;
  }
}

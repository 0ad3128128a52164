import * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';
import { alone, type LearnerGroup } from '../../src/training/learner-group.ts';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import { Group } from '../../transport/collectives/group.ts';
import { joinHostGroup } from '../../transport/collectives/host.ts';
import { openMpi } from '../../transport/collectives/mpi.ts';
import type { NetworkSeat } from '../../transport/collectives/network.ts';
import { RingEngine } from '../../transport/collectives/ring.ts';
import { joinThreadGroup, type ThreadGroupHandle } from '../../transport/collectives/threads.ts';
import { whole } from '../messages.ts';

/** A learner's place among the others, as plain data: how it joins them. */
export type LearnerSeat =
  | { readonly kind: 'alone' }
  /** All learners are threads of one process. */
  | { readonly kind: 'threads'; readonly group: ThreadGroupHandle; readonly rank: number }
  /** Each learner is in a process that `mpirun`, or a scheduler, started, one in each. */
  | { readonly kind: 'mpi'; readonly rank: number; readonly size: number }
  /** Learners are in several processes; messages say how they meet. */
  | { readonly kind: 'processes'; readonly rank: number };

/** How learners of several processes meet: in the memory of one host, or at their endpoints, in order of rank. */
export const Meeting = t.union([
  t.type({ kind: t.literal('memory'), size: whole, path: t.string }),
  t.type({ kind: t.literal('network'), endpoints: t.array(t.string) }),
]);
export type Meeting = t.TypeOf<typeof Meeting>;

/** A group and how to leave it. */
export interface JoinedGroup {
  readonly group: LearnerGroup;
  leave(): Promise<void>;
}

/** Joins the others where the seat alone says how, without waiting for them; null where a message will. */
export async function takeSeat(seat: LearnerSeat): Promise<JoinedGroup | null> {
  switch (seat.kind) {
    case 'alone':
      return { group: alone, leave: () => Promise.resolve() };
    case 'threads':
      return joined(joinThreadGroup(seat.group, seat.rank));
    case 'mpi':
      return joinMpi(seat.rank, seat.size);
    case 'processes':
      return null;
  }
}

/** Joins the others as the message says; over a network, from the endpoint that was opened. */
export async function meet(
  meeting: Meeting,
  rank: number,
  network: NetworkSeat | null,
): Promise<JoinedGroup> {
  if (meeting.kind === 'memory') return joined(joinHostGroup(meeting, rank));
  if (network === null) throw new CxmindError('INTERNAL', 'learner: there is no endpoint yet');
  return joined(new Group(new RingEngine(await network.join(rank, meeting.endpoints))));
}

async function joinMpi(rank: number, size: number): Promise<JoinedGroup> {
  const world = openMpi();
  const group = world.size === size ? await world.split({ color: 0, key: rank }) : null;
  // MPI wants to be ended by every process that began with it.
  if (group !== null) return joined(group, world);
  await world[Symbol.asyncDispose]();
  throw new CxmindError(
    'CONFIG_INVALID',
    `transport.collectives: mpi takes one learner in each of MPI's ${world.size} processes, not ${size}`,
  );
}

function joined(...groups: readonly [Communicator, ...Communicator[]]): JoinedGroup {
  const leave = async (): Promise<void> => {
    for (const group of groups) await group[Symbol.asyncDispose]();
  };
  return { group: groups[0], leave };
}

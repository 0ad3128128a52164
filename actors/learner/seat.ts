import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';
import { alone, type LearnerGroup } from '../../src/training/learner-group.ts';
import { joinHostGroup } from '../../transport/collectives/host.ts';
import { openMpi } from '../../transport/collectives/mpi.ts';
import { joinThreadGroup, type ThreadGroupHandle } from '../../transport/collectives/threads.ts';
import { whole } from '../messages.ts';

/** A learner's place among the others, as plain data: how it joins them. */
export type LearnerSeat =
  | { readonly kind: 'alone' }
  /** All learners are threads of one process. */
  | { readonly kind: 'threads'; readonly group: ThreadGroupHandle; readonly rank: number }
  /** Each learner is in a process that `mpirun`, or a scheduler, started, one in each. */
  | { readonly kind: 'mpi'; readonly rank: number; readonly size: number }
  /** Learners are in several processes; a message says how they meet. */
  | { readonly kind: 'processes'; readonly rank: number };

/** How learners of several processes meet: in memory of the host that all are on. */
export const Meeting = t.type({ size: whole, path: t.string });
export interface Meeting extends t.TypeOf<typeof Meeting> {}

/** A group that is left in the end. */
export type JoinedGroup = LearnerGroup & Partial<AsyncDisposable>;

/** Joins the others where the seat alone says how, without waiting for them; null where a message will. */
export async function takeSeat(seat: LearnerSeat): Promise<JoinedGroup | null> {
  switch (seat.kind) {
    case 'alone':
      return alone;
    case 'threads':
      return joinThreadGroup(seat.group, seat.rank);
    case 'mpi':
      return joinMpi(seat.rank, seat.size);
    case 'processes':
      return null;
  }
}

/** Joins the others as the message says. */
export function meet(meeting: Meeting, rank: number): JoinedGroup {
  return joinHostGroup(meeting, rank);
}

/** What two processes have in common if they can share memory: the kernel, and the files in its memory. */
export function hostIdentity(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const { dev, ino } = statSync('/dev/shm');
    return `${boot}/${dev}/${ino}`;
  } catch {
    return `${hostname()}/${process.pid}`;
  }
}

async function joinMpi(rank: number, size: number): Promise<JoinedGroup> {
  const world = openMpi();
  const group = world.size === size ? await world.split({ color: 0, key: rank }) : null;
  if (group !== null) return group;
  throw new CxmindError(
    'CONFIG_INVALID',
    `transport.collectives: mpi takes one learner in each of MPI's ${world.size} processes, not ${size}`,
  );
}

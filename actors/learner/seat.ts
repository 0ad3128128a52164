import * as t from 'io-ts';
import type { Device } from '../../src/device/device.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Sharing } from '../../src/training/exchange.ts';
import { alone } from '../../src/training/learner-group.ts';
import {
  openCommunicator,
  openDeviceGroup,
  Seat,
  type RankCard,
} from '../../transport/collectives/open.ts';
import type { ThreadGroupHandle } from '../../transport/collectives/threads.ts';

/** A learner's place among the others, as plain data: how it joins them. */
export type LearnerSeat =
  | { readonly kind: 'alone' }
  /** All learners are threads of one process. */
  | { readonly kind: 'threads'; readonly group: ThreadGroupHandle; readonly rank: number }
  /** Each learner is in a process that `mpirun`, or a scheduler, started, one in each. */
  | { readonly kind: 'mpi'; readonly rank: number; readonly size: number }
  /** Learners are in several processes, which tell each other by messages how they are reached. */
  | { readonly kind: 'processes'; readonly rank: number };

/** What a learner of several processes tells the others about itself. */
export const LearnerCard: t.Type<RankCard> = t.type({ endpoint: t.string, host: t.string });

/** A group, the way between its devices, and how to leave both. */
export interface JoinedGroup extends Pick<Sharing, 'group' | 'exchange'> {
  leave(): Promise<void>;
}

/** Joins the others where the seat alone says how; null where messages will. */
export async function takeSeat(seat: LearnerSeat, device: Device): Promise<JoinedGroup | null> {
  switch (seat.kind) {
    case 'alone':
      return { group: alone, leave: () => Promise.resolve() };
    case 'threads':
      return joined(seat, device);
    case 'mpi':
      return joined({ kind: 'mpi', place: seat }, device);
    case 'processes':
      return null;
  }
}

/** Joins the others by the cards of all, in the order of their ranks; from the seat that was opened. */
export function meet(
  seat: Seat | null,
  rank: number,
  cards: readonly RankCard[],
  device: Device,
): Promise<JoinedGroup> {
  if (seat === null) throw new CxmindError('INTERNAL', 'learner: it does not listen yet');
  return joined({ kind: 'processes', seat, rank, cards }, device);
}

async function joined(
  options: Parameters<typeof openCommunicator>[0],
  device: Device,
): Promise<JoinedGroup> {
  const group = await openCommunicator(options);
  let exchange: Awaited<ReturnType<typeof openDeviceGroup>> = null;
  // The group first: that ends what is being done between the devices.
  const leave = async (): Promise<void> => {
    await group[Symbol.asyncDispose]();
    await exchange?.[Symbol.asyncDispose]();
  };
  try {
    exchange = await openDeviceGroup(group, device);
  } catch (error) {
    await leave();
    throw error;
  }
  return { group, ...(exchange && { exchange }), leave };
}

/** The place of a rank in its group, and how it joins: by threads, by MPI, or by messages later. */
import type { Device } from '../../src/device/device.ts';
import type { Sharing } from '../../src/training/exchange.ts';
import { alone } from '../../src/training/learner-group.ts';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import { openMpi } from '../../transport/collectives/mpi.ts';
import { openDeviceGroup } from '../../transport/collectives/open.ts';
import { joinThreadGroup, type ThreadGroupHandle } from '../../transport/collectives/threads.ts';

/** A rank's place in its group, as plain data: how it joins the others. */
export type RankInfo =
  | { readonly kind: 'alone' }
  /** All ranks are threads of one process. */
  | { readonly kind: 'threads'; readonly group: ThreadGroupHandle; readonly rank: number }
  /** Each rank is in a process of its own, which `mpirun` or a scheduler started. */
  | { readonly kind: 'mpi'; readonly rank: number; readonly size: number }
  /** Ranks are in several processes, which tell each other by messages how they are reached. */
  | { readonly kind: 'processes'; readonly rank: number };

/** A group, the direct way between its devices where there is one, and how to leave both. */
export interface JoinedGroup extends Pick<Sharing, 'group' | 'exchange'> {
  leave(): Promise<void>;
}

/** Joins the group where the rank alone says how; null where messages will say it. */
export async function joinByRank(rank: RankInfo, device: Device): Promise<JoinedGroup | null> {
  switch (rank.kind) {
    case 'alone':
      return { group: alone, leave: () => Promise.resolve() };
    case 'threads':
      return joinDevices(joinThreadGroup(rank.group, rank.rank), device);
    case 'mpi':
      return joinDevices(await openMpi(rank), device);
    case 'processes':
      return null;
  }
}

/** Opens the direct way between the devices of a group, and makes one of both. */
export async function joinDevices(group: Communicator, device: Device): Promise<JoinedGroup> {
  let exchange: Awaited<ReturnType<typeof openDeviceGroup>> = null;
  // The group is left first, which ends what is in progress between the devices.
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

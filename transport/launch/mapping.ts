import { CxmindError } from '../../src/errors.ts';
import type { Host } from './allocation.ts';

/** Host whose number of slots is known. */
export interface SizedHost extends Host {
  readonly slots: number;
}

/** Part of a launch that a host gets: ranks `first` to `first + count - 1`. */
export interface Share {
  readonly host: SizedHost;
  readonly first: number;
  /** Number of ranks, at least 1. */
  readonly count: number;
}

/**
 * Maps ranks onto hosts by slot, as mpirun does by default: the first host is filled, then the second.
 *
 * With `oversubscribe`, ranks beyond the slots are spread evenly over the hosts, those named first getting one more. No
 * host gets more than its `maxSlots`.
 *
 * @param ranks number of ranks; undefined for one in each slot
 * @returns a share for each host that gets a rank, in order
 * @throws CONFIG_INVALID when there are too few slots, with both numbers
 * @see mpirun(1) of Open MPI 4.1, "Mapping Processes to Nodes"
 */
export function mapBySlot(
  hosts: readonly SizedHost[],
  ranks: number | undefined,
  oversubscribe = false,
): Share[] {
  const slots = hosts.reduce((sum, host) => sum + host.slots, 0);
  const wanted = ranks ?? slots;
  if (wanted === 0) throw new CxmindError('CONFIG_INVALID', `nothing to start: ${listed(hosts)}`);
  if (wanted > slots && !oversubscribe) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `${wanted} ranks are asked for and there are ${slots} slots (${listed(hosts)}): ask for no more with --np, ` +
        'give hosts more slots, or add --oversubscribe',
    );
  }
  const counts = fill(hosts, wanted);
  const beyond = wanted - counts.reduce((sum, count) => sum + count, 0);
  spread(hosts, counts, beyond);
  return sharesOf(hosts, counts);
}

function fill(hosts: readonly SizedHost[], wanted: number): number[] {
  let left = wanted;
  return hosts.map((host) => {
    const count = Math.min(host.slots, left);
    left -= count;
    return count;
  });
}

/** Adds ranks to the counts of hosts that take more, as evenly as their limits let it. */
function spread(hosts: readonly SizedHost[], counts: number[], beyond: number): void {
  let left = beyond;
  while (left > 0) {
    const open = hosts.flatMap((host, i) => (counts[i]! < host.maxSlots ? [i] : []));
    if (open.length === 0) {
      const most = counts.reduce((sum, count) => sum + count, 0);
      throw new CxmindError(
        'CONFIG_INVALID',
        `${most + left} ranks are asked for and max_slots allows ${most} (${listed(hosts)})`,
      );
    }
    const each = Math.floor(left / open.length);
    const more = left % open.length;
    open.forEach((host, place) => {
      const room = hosts[host]!.maxSlots - counts[host]!;
      const added = Math.min(room, each + (place < more ? 1 : 0));
      counts[host]! += added;
      left -= added;
    });
  }
}

function sharesOf(hosts: readonly SizedHost[], counts: readonly number[]): Share[] {
  let first = 0;
  return hosts.flatMap((host, i) => {
    const count = counts[i]!;
    const share = { host, first, count };
    first += count;
    return count === 0 ? [] : [share];
  });
}

function listed(hosts: readonly SizedHost[]): string {
  return hosts.map(({ host, slots }) => `${host} ${slots}`).join(', ');
}

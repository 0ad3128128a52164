import { learnerCount } from '../../src/config/derive.ts';
import type { Config } from '../../src/config/schema.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Place } from '../runtime/placement.ts';

/** A process that actors of a run may be placed in. */
export interface Host {
  /** Name of the node, null for the process that leads the run. */
  readonly node: string | null;
  /** How many actors it should have to compute at a time, against the others: its cores, as a rule. */
  readonly slots: number;
}

/** Where each actor of a run goes. The data actor and the first learner are always where the run is led. */
export interface RunPlacement {
  readonly learners: readonly Place[];
  readonly rollouts: readonly Place[];
  readonly rewards: readonly Place[];
  readonly reference: Place;
}

/**
 * Who goes where.
 *
 * Learners go to hosts in consecutive blocks, so that neighbours in rank share a host where some do. Rollout
 * and reward actors, one on each host unless the config says how many, go to the host with the most slots left
 * for each, the earlier of equals. The reference goes to the largest host that does not lead.
 *
 * @param hosts the leading one first
 * @throws CONFIG_INVALID when there are fewer than `trainer.nnodes`
 */
export function placeRun(config: Config, hosts: readonly Host[]): RunPlacement {
  const { rollout, reward } = config.worker;
  const { nnodes } = config.trainer;
  if (hosts.length < nnodes) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `trainer.nnodes: ${nnodes} hosts are to train and ${hosts.length} take part; ` +
        'start the run on all of them with cxmind launch',
    );
  }
  const able = hosts.filter(({ slots }) => slots > 0);
  const workers = able.length === 0 ? hosts.slice(0, 1) : able;
  const learners = learnerCount(config);
  const others = workers.filter(({ node }) => node !== null);
  return {
    learners: Array.from({ length: learners }, (_, rank) =>
      placeOf(hosts[Math.floor((rank * hosts.length) / Math.max(learners, hosts.length))]!),
    ),
    rollouts: spread(rollout.numWorkers, workers),
    rewards: spread(reward.numWorkers, workers),
    reference: placeOf(largest(others.length === 0 ? workers : others)),
  };
}

/** One on each host, or one after the other to the host that would have the most slots for each of its actors. */
function spread(count: number | null, hosts: readonly Host[]): Place[] {
  if (count === null) return hosts.map(placeOf);
  const taken = hosts.map(() => 0);
  return Array.from({ length: count }, () => {
    const room = hosts.map(({ slots }, i) => slots / (taken[i]! + 1));
    const best = room.indexOf(Math.max(...room));
    taken[best]!++;
    return placeOf(hosts[best]!);
  });
}

function largest(hosts: readonly Host[]): Host {
  return hosts.reduce((best, host) => (host.slots > best.slots ? host : best));
}

function placeOf({ node }: Host): Place {
  return node === null ? 'thread' : { node };
}

/** Placement of a run's actors on hosts and devices. */
import type { DeviceName } from '../../src/device/open.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Place } from '../runtime/placement.ts';
import type { PlacementPlan } from './plan.ts';

/** A process that actors of a run may be placed in. */
export interface Host {
  /** Name of the node, null for the process that leads the run. */
  readonly node: string | null;
  /** Share of the work against the other hosts: as a rule its cores. 0 is none. */
  readonly slots: number;
}

/** Place of an actor with a model, and the device that it computes on there. */
export interface Station {
  readonly place: Place;
  readonly device: DeviceName;
}

/** Places of all actors of a run. The data actor and the first learner are always in the process that leads the run. */
export interface RunPlacement {
  readonly learners: readonly Station[];
  readonly rollouts: readonly Station[];
  readonly rewards: readonly Place[];
  readonly reference: Station;
}

/**
 * Assigns the actors of a run to hosts and devices.
 *
 * Hosts: learners take them in consecutive blocks, so that neighbours in rank share a host. Each rollout or reward
 * actor goes to the host with the most slots for each of its actors; null is one actor on each host. The reference goes
 * to the largest host that does not lead.
 *
 * Cards: each learner has one of its own. Rollouts share these, as they read the learners' weights in place; null is
 * one rollout on each. The reference has the last card.
 *
 * @param hosts the leading one first
 * @throws CONFIG_INVALID for fewer hosts than `trainer.nnodes`, fewer cards than learners, or models on cards outside
 *   the leading process
 */
export function placeRun(plan: PlacementPlan, hosts: readonly Host[]): RunPlacement {
  if (hosts.length < plan.hosts) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `trainer.nnodes: ${plan.hosts} hosts are to train and ${hosts.length} take part; ` +
        'start the run on all of them with cxmind launch',
    );
  }
  const able = hosts.filter(({ slots }) => slots > 0);
  const workers = able.length === 0 ? hosts.slice(0, 1) : able;
  const others = workers.filter(({ node }) => node !== null);
  const learners = placeLearners(plan, hosts);
  const cards = [...new Set(learners.map(({ device }) => device))];
  const rollouts =
    plan.rollouts === null
      ? workers.flatMap((host) => cards.map((device) => ({ place: placeOf(host), device })))
      : spread(plan.rollouts, workers).map((place, i) => ({
          place,
          device: cards[i % cards.length]!,
        }));
  const reference = {
    place: placeOf(largest(others.length === 0 ? workers : others)),
    device: plan.devices.at(-1)!,
  };
  checkStations(plan, [...learners, ...rollouts, reference]);
  return { learners, rollouts, rewards: spread(plan.rewards, workers), reference };
}

/** The device of every actor with a model, by the actor's name; critics are where learners are. */
export function devicesOfActors({
  learners,
  rollouts,
  reference,
}: RunPlacement): ReadonlyMap<string, DeviceName> {
  const named = (role: string, stations: readonly Station[]) =>
    stations.map(({ device }, i) => [`${role}/${i}`, device] as const);
  return new Map([
    ...named('learner', learners),
    ...named('critic', learners),
    ...named('rollout', rollouts),
    ['reference', reference.device],
  ]);
}

/**
 * Assigns the learners.
 *
 * @param hosts the leading one first
 * @throws CONFIG_INVALID when there are fewer cards
 */
export function placeLearners(
  { learners, devices }: PlacementPlan,
  hosts: readonly Host[],
): Station[] {
  const [first] = devices;
  if (first !== 'cpu' && learners > devices.length) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `worker.actor.num_workers: ${learners} learners want a card each, and there are ` +
        `${devices.length} (${devices.join(', ')}); null is as many as there are cards`,
    );
  }
  return Array.from({ length: learners }, (_, rank) => ({
    place: placeOf(hosts[Math.floor((rank * hosts.length) / Math.max(learners, hosts.length))]!),
    device: devices[rank % devices.length]!,
  }));
}

/** Checks that every actor on a card is in the process that leads: processes cannot share a card's memory. */
function checkStations({ deviceChoice }: PlacementPlan, stations: readonly Station[]): void {
  if (stations.every(({ place, device }) => place === 'thread' || device === 'cpu')) return;
  throw new CxmindError(
    'CONFIG_INVALID',
    `trainer.device: ${deviceChoice} trains in one process so far; ` +
      'start the run without other hosts, or set trainer.device=cpu',
  );
}

/** Spreads actors over hosts: one on each, or each to the host that would have the most slots per actor. */
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

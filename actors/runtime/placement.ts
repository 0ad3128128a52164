import { addAbortListener } from 'node:events';
import { CxmindError } from '../../src/errors.ts';
import type { Link } from '../../transport/link.ts';
import type { RemoteNode } from './nodes/remote-node.ts';

/*
 * Placement: the nodes of a system stand in pools, and an actor takes slots and devices of one node of a pool.
 */

/** Place of an actor: a thread of this process, one node, or any node of a pool. */
export type Place = 'thread' | { readonly node: string } | { readonly pool: string };

/** Pool of the nodes that were added without the name of one. */
export const defaultPool = 'nodes';

/** Resources of a node, to be claimed by actors. */
export interface Resources {
  /** Number of actors with a claim of one slot each: the node's cores, as a rule. */
  readonly slots: number;
  /** Names of its devices, as in `cuda:0`. */
  readonly devices: readonly string[];
}

/** Options of a process that is to host actors. */
export interface NodeOptions {
  /** Name that is unique among the nodes that live: `host-a`. */
  readonly name: string;
  /** Link to its `NodeHost`. The system owns it from now on. */
  readonly link: Link;
  /** Resources of the node. Default: a slot for each of its cores, and no devices. */
  readonly resources?: Partial<Resources>;
  /** Name of its pool. Default `nodes`. */
  readonly pool?: string;
}

/** Resources that an actor needs of its node. */
export interface Claims {
  readonly slots: number;
  /** Number of devices for itself alone. */
  readonly devices: number;
}

/** Resources of one node that an actor has until it releases them. */
export interface Allocation {
  readonly node: string;
  readonly slots: number;
  /** Names of its devices. */
  readonly devices: readonly string[];
}

interface Member {
  readonly node: string;
  readonly resources: Resources;
  readonly taken: Set<Allocation>;
}

/** Nodes over which actors of a kind are spread, with the resources that are taken of each. */
export class ResourcePool {
  readonly name: string;
  readonly #members = new Map<string, Member>();

  constructor(name: string) {
    this.name = name;
  }

  add(node: string, resources: Resources): void {
    this.#members.set(node, { node, resources, taken: new Set() });
  }

  /** Forgets a node that is gone, and every allocation on it. */
  remove(node: string): void {
    this.#members.delete(node);
  }

  /**
   * Allocates what is claimed on the node of which the smallest share is taken; undefined while there is no room.
   *
   * @param only the one node that will do, if not all will
   */
  take(claims: Claims, only?: string): Allocation | undefined {
    let best: Member | undefined;
    for (const member of this.#members.values()) {
      if ((only !== undefined && member.node !== only) || !fits(claims, member)) continue;
      if (best === undefined || isFreer(member, best)) best = member;
    }
    if (best === undefined) return undefined;
    const { slots, devices } = claims;
    const chosen = freeDevices(best).slice(0, devices);
    const allocation: Allocation = { node: best.node, slots, devices: chosen };
    best.taken.add(allocation);
    return allocation;
  }

  release(allocation: Allocation): void {
    this.#members.get(allocation.node)?.taken.delete(allocation);
  }

  /** Makes the error of claims that cannot be met. It says what was wanted, and what each node has free. */
  shortage(actor: string, claims: Claims, only?: string): CxmindError {
    const members = [...this.#members.values()].filter(({ node }) => (only ?? node) === node);
    const wanted = amount(claims.slots, claims.devices);
    const free = members.map((member) => {
      const { slots, devices } = member.resources;
      const left = amount(freeSlots(member), freeDevices(member).length);
      return `${member.node} has ${left} free of ${amount(slots, devices.length)}`;
    });
    const where = only === undefined ? `no node of pool ${this.name}` : `not node ${only}`;
    const facts = free.length === 0 ? 'there is no such node' : free.join('; ');
    return new CxmindError(
      'PLACEMENT_FAILED',
      `${actor} wants ${wanted}, and ${where} has room: ${facts}`,
      { detail: { actor, claims, free } },
    );
  }
}

function fits({ slots, devices }: Claims, member: Member): boolean {
  return slots <= freeSlots(member) && devices <= freeDevices(member).length;
}

/** Compares the shares that are taken, then the numbers of actors. */
function isFreer(one: Member, other: Member): boolean {
  return (loadOf(one) - loadOf(other) || one.taken.size - other.taken.size) < 0;
}

function freeSlots({ resources, taken }: Member): number {
  return [...taken].reduce((free, { slots }) => free - slots, resources.slots);
}

function freeDevices({ resources, taken }: Member): string[] {
  const used = new Set([...taken].flatMap(({ devices }) => devices));
  return resources.devices.filter((device) => !used.has(device));
}

/** Larger one of the shares of slots and devices that are taken, from 0 to 1. */
function loadOf(member: Member): number {
  const { slots, devices } = member.resources;
  const share = (free: number, all: number): number => (all === 0 ? 0 : 1 - free / all);
  return Math.max(
    share(freeSlots(member), slots),
    share(freeDevices(member).length, devices.length),
  );
}

function amount(slots: number, devices: number): string {
  return `${slots} slots and ${devices} devices`;
}

/** The nodes of a system, by their names and by their pools. */
export class Placement {
  readonly #nodes = new Map<string, { readonly node: RemoteNode; readonly pool: ResourcePool }>();
  readonly #pools = new Map<string, ResourcePool>();
  #change = Promise.withResolvers<undefined>();

  get nodes(): readonly RemoteNode[] {
    return [...this.#nodes.values()].map(({ node }) => node);
  }

  /** Adds a node until it is gone. @throws INTERNAL when there is one of its name */
  add(node: RemoteNode, poolName: string, resources: Resources): void {
    if (this.#nodes.has(node.name)) {
      throw new CxmindError('INTERNAL', `node ${node.name} is here already`);
    }
    const pool = this.#pools.get(poolName) ?? new ResourcePool(poolName);
    this.#pools.set(poolName, pool);
    this.#nodes.set(node.name, { node, pool });
    pool.add(node.name, resources);
    this.#announce();
    void node.ended.then(() => {
      pool.remove(node.name);
      this.#nodes.delete(node.name);
    });
  }

  find(name: string): RemoteNode | undefined {
    return this.#nodes.get(name)?.node;
  }

  /** Finds the pool of a place. @throws PLACEMENT_FAILED for a node or a pool that nobody added */
  poolAt(actor: string, place: Exclude<Place, 'thread'>): ResourcePool {
    const pool = 'node' in place ? this.#nodes.get(place.node)?.pool : this.#pools.get(place.pool);
    if (pool !== undefined) return pool;
    const what = 'node' in place ? `node ${place.node}` : `pool ${place.pool}`;
    throw new CxmindError('PLACEMENT_FAILED', `${actor}: there is no ${what}`);
  }

  release(pool: ResourcePool, allocation: Allocation): void {
    pool.release(allocation);
    this.#announce();
  }

  /** Waits until a node comes or room is made, for `timeoutMs` at most, or until the signal is aborted. */
  async changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<undefined>();
    const end = (): void => over.resolve(undefined);
    const timer = setTimeout(end, timeoutMs);
    using _ = addAbortListener(signal, end);
    await Promise.race([this.#change.promise, over.promise]);
    clearTimeout(timer);
  }

  #announce(): void {
    this.#change.resolve(undefined);
    this.#change = Promise.withResolvers<undefined>();
  }
}

/**
 * Placement: the nodes of a system stand in pools, and an actor takes slots and devices of one node of a pool.
 *
 * A training run names the node of each of its actors. Pools and claims are for users' own pipelines.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CxmindError } from '../../src/errors.ts';
import type { Link } from '../../transport/link.ts';
import type { RemoteNode } from './nodes/remote-node.ts';

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
  readonly node: RemoteNode;
  readonly slots: number;
  /** Names of its devices. */
  readonly devices: readonly string[];
}

interface Member {
  readonly node: RemoteNode;
  readonly pool: string;
  readonly resources: Resources;
  readonly taken: Set<Allocation>;
}

/** The nodes of a system in their pools, and the slots and devices that are taken of each. */
export class Placement {
  readonly #members = new Map<string, Member>();
  /** Names of all pools, those whose nodes are gone included. */
  readonly #pools = new Set<string>();
  #change = Promise.withResolvers<undefined>();

  get nodes(): readonly RemoteNode[] {
    return [...this.#members.values()].map(({ node }) => node);
  }

  /** Adds a node until it is gone. @throws INTERNAL when there is one of its name */
  add(node: RemoteNode, pool: string, resources: Resources): void {
    if (this.#members.has(node.name)) {
      throw new CxmindError('INTERNAL', `node ${node.name} is here already`);
    }
    this.#pools.add(pool);
    this.#members.set(node.name, { node, pool, resources, taken: new Set() });
    this.#announce();
    void node.ended.then(() => this.#members.delete(node.name));
  }

  /** True until a node is gone. */
  has(node: RemoteNode): boolean {
    return this.#members.get(node.name)?.node === node;
  }

  /** Finds the pool of a place. @throws PLACEMENT_FAILED for a node or a pool that nobody added */
  poolAt(actor: string, place: Exclude<Place, 'thread'>): string {
    if ('node' in place) {
      const pool = this.#members.get(place.node)?.pool;
      if (pool !== undefined) return pool;
      throw new CxmindError('PLACEMENT_FAILED', `${actor}: there is no node ${place.node}`);
    }
    if (this.#pools.has(place.pool)) return place.pool;
    throw new CxmindError('PLACEMENT_FAILED', `${actor}: there is no pool ${place.pool}`);
  }

  /**
   * Allocates what is claimed on the node of a pool of which the smallest share is taken; undefined while there is no
   * room.
   *
   * @param only the one node that will do, if not all will
   */
  take(pool: string, { slots, devices }: Claims, only?: string): Allocation | undefined {
    const [best] = this.#membersOf(pool, only)
      .filter((each) => slots <= freeSlots(each) && devices <= freeDevices(each).length)
      .sort((one, other) => loadOf(one) - loadOf(other) || one.taken.size - other.taken.size);
    if (best === undefined) return undefined;
    const chosen = freeDevices(best).slice(0, devices);
    const allocation: Allocation = { node: best.node, slots, devices: chosen };
    best.taken.add(allocation);
    return allocation;
  }

  release(allocation: Allocation): void {
    this.#members.get(allocation.node.name)?.taken.delete(allocation);
    this.#announce();
  }

  /** Makes the error of claims that cannot be met. It says what was wanted, and what each node has free. */
  shortage(pool: string, actor: string, claims: Claims, only?: string): CxmindError {
    const wanted = amount(claims.slots, claims.devices);
    const free = this.#membersOf(pool, only).map((member) => {
      const { slots, devices } = member.resources;
      const left = amount(freeSlots(member), freeDevices(member).length);
      return `${member.node.name} has ${left} free of ${amount(slots, devices.length)}`;
    });
    const where = only === undefined ? `no node of pool ${pool}` : `not node ${only}`;
    const facts = free.length === 0 ? 'there is no such node' : free.join('; ');
    return new CxmindError(
      'PLACEMENT_FAILED',
      `${actor} wants ${wanted}, and ${where} has room: ${facts}`,
      { detail: { actor, claims, free } },
    );
  }

  /** Waits until a node comes or room is made, for `timeoutMs` at most, or until the signal is aborted. */
  async changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const late = delay(timeoutMs, undefined, { signal: AbortSignal.any([signal, over.signal]) });
    await Promise.race([this.#change.promise, late.catch(() => undefined)]);
    over.abort();
  }

  #membersOf(pool: string, only: string | undefined): Member[] {
    const ofPool = this.#members.values().filter((member) => member.pool === pool);
    return ofPool.filter(({ node: { name } }) => (only ?? name) === name).toArray();
  }

  #announce(): void {
    this.#change.resolve(undefined);
    this.#change = Promise.withResolvers<undefined>();
  }
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

import { CxmindError } from '../../src/errors.ts';
import { encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { Incarnation, Launcher, IncarnationStart } from './incarnation.ts';
import { valueOf } from './ref.ts';
import type { RemoteNode, StartOrder } from './remote-node.ts';
import {
  ResourcePool,
  type Allocation,
  type Claims,
  type PlacementStrategy,
  type Resources,
} from './resources.ts';

/** Where an actor runs: on a thread of this process, on one node, or on any node of a pool. */
export type Place = 'thread' | { readonly node: string } | { readonly pool: string };

/** The pool of nodes that were added without saying which. */
export const defaultPool = 'nodes';

/** The nodes of a system and what is free on them. */
export class Placement {
  readonly #nodes = new Map<string, { readonly node: RemoteNode; readonly pool: ResourcePool }>();
  readonly #pools = new Map<string, ResourcePool>();
  #change = Promise.withResolvers<undefined>();

  get nodes(): readonly RemoteNode[] {
    return [...this.#nodes.values()].map(({ node }) => node);
  }

  /** Sets how a pool chooses among its nodes; before its first node, or it spreads. */
  definePool(name: string, strategy: PlacementStrategy): void {
    if (this.#pools.has(name)) throw new CxmindError('INTERNAL', `pool ${name} has begun already`);
    this.#pools.set(name, new ResourcePool(name, strategy));
  }

  /** Takes a node in until it is gone. @throws INTERNAL when there is one of its name */
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

  /** The pool of a place. @throws PLACEMENT_FAILED for a node or a pool that nobody added */
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

  /** Resolves when a node came or room was made, or after `timeoutMs`, or when the signal is aborted. */
  async changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { promise: over, resolve } = Promise.withResolvers<undefined>();
    const end = (): void => resolve(undefined);
    const timer = setTimeout(end, timeoutMs);
    signal.addEventListener('abort', end);
    await Promise.race([this.#change.promise, over]);
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }

  #announce(): void {
    this.#change.resolve(undefined);
    this.#change = Promise.withResolvers<undefined>();
  }
}

/** What a launcher needs to know of an actor on nodes. */
export interface RemoteActor {
  readonly order: Omit<StartOrder, 'restarts' | 'devices'>;
  readonly props: unknown;
  readonly place: Exclude<Place, 'thread'>;
  readonly claims: Claims;
  /** How long a later life waits for room anywhere. */
  readonly patienceMs: number;
}

interface Home {
  readonly node: RemoteNode;
  readonly allocation: Allocation;
}

/**
 * Begins lives on nodes: the first where the actor was placed; later ones on the same node while that lives, else
 * on any node of its pool that has room, and if none has, on the first that gets some.
 */
export class RemoteLauncher implements Launcher {
  readonly #placement: Placement;
  readonly #actor: RemoteActor;
  readonly #pool: ResourcePool;
  readonly #body: Body;
  #home: Home | undefined;
  /** The youngest life. */
  #life: Incarnation | undefined;

  /** @throws PLACEMENT_FAILED for a place that is not there, WIRE_INVALID for props that are not plain data */
  constructor(placement: Placement, actor: RemoteActor) {
    this.#placement = placement;
    this.#actor = actor;
    this.#pool = placement.poolAt(actor.order.name, actor.place);
    this.#body = encodeBody({ props: actor.props });
  }

  get node(): string | undefined {
    return this.#home?.node.name;
  }

  async launch({ restarts, kept }: IncarnationStart, signal: AbortSignal): Promise<Incarnation> {
    const { node, allocation } = await this.#settle(restarts === 0, signal);
    const { devices } = allocation;
    const { order, props } = this.#actor;
    const body = kept === undefined ? this.#body : encodeBody({ props, kept: valueOf(kept) });
    this.#life = node.start({ ...order, restarts, devices: [...devices] }, body, this.#life);
    return this.#life;
  }

  release(): Promise<void> {
    if (this.#home !== undefined) {
      if (this.#life !== undefined) this.#home.node.retire(this.#life);
      this.#placement.release(this.#pool, this.#home.allocation);
    }
    this.#home = undefined;
    return Promise.resolve();
  }

  async #settle(isFirst: boolean, signal: AbortSignal): Promise<Home> {
    const { order, place, claims, patienceMs } = this.#actor;
    const only = isFirst && 'node' in place ? place.node : undefined;
    const until = performance.now() + patienceMs;
    for (;;) {
      signal.throwIfAborted();
      const home = this.#home;
      if (home !== undefined && this.#placement.find(home.node.name) === home.node) return home;
      const allocation = this.#pool.take(claims, only);
      if (allocation !== undefined) {
        const node = this.#placement.find(allocation.node)!;
        return (this.#home = { node, allocation });
      }
      const leftMs = until - performance.now();
      if (isFirst || leftMs <= 0) throw this.#pool.shortage(order.name, claims, only);
      await this.#placement.changed(leftMs, signal);
    }
  }
}

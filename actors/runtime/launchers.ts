/** The three places where an incarnation may run: the calling thread, a thread of its own, a node. */
import { CxmindError } from '../../src/errors.ts';
import { decodeBody, encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import { sameThreadPair } from '../../transport/same-thread.ts';
import type { ActorThread, ThreadStart } from './actor-thread.ts';
import { ActorHost, type HostStart, type Make } from './host.ts';
import type { Incarnation, IncarnationStart, Launcher } from './incarnation.ts';
import type { Allocation, Claims, Place, Placement } from './placement.ts';
import type { StartOrder } from './nodes/remote-node.ts';

/** Launcher on the calling thread. */
export function localLauncher(name: string, make: Make): Launcher {
  return {
    node: undefined,
    launch: (start) =>
      Promise.try(() => startLocal({ ...start, name, node: undefined, devices: [] }, make)),
    heapBytes: () => null,
    release: () => Promise.resolve(),
  };
}

/** Starts an incarnation on the calling thread. */
export function startLocal(start: HostStart, make: Make): Incarnation {
  const { name } = start;
  const [channel, far] = sameThreadPair();
  const { promise: ended, resolve } = Promise.withResolvers<CxmindError>();
  const end = (reason: CxmindError): void => {
    far.close();
    void channel.closed.then(() => resolve(reason));
  };
  const host = new ActorHost({
    channel: far,
    start,
    onEnd: (crash) => end(crash ?? new CxmindError('ACTOR_STOPPED', `${name} ended`)),
  });
  void host.start(make);
  return {
    channel,
    urgent: channel,
    ended,
    terminate: () => {
      // Nothing can end a handler on this thread, so the incarnation is left to itself until its handlers return.
      host.abandon();
      end(new CxmindError('ACTOR_CRASHED', `${name} was let go of`));
    },
  };
}

/** Launcher on a worker thread of this process. */
export function threadLauncher(
  thread: ActorThread,
  constant: Omit<ThreadStart, keyof IncarnationStart>,
): Launcher {
  return {
    node: undefined,
    launch: (start) => Promise.try(() => thread.begin({ ...constant, ...start })),
    heapBytes: () => thread.heapBytes(),
    release: () => thread.release(),
  };
}

/** An actor that is to run on nodes. */
interface RemoteActor {
  readonly order: Omit<StartOrder, 'restarts' | 'devices'>;
  readonly props: unknown;
  readonly place: Exclude<Place, 'thread'>;
  readonly claims: Claims;
  /** Time that a restart waits for room on any node. */
  readonly patienceMs: number;
}

/**
 * Launcher on nodes.
 *
 * The first incarnation runs where the actor was placed. A later one runs on the same node while that lives, else on
 * any node of its pool that has room. If none has, it waits for the first that gets some.
 */
export class RemoteLauncher implements Launcher {
  readonly #placement: Placement;
  readonly #actor: RemoteActor;
  /** Name of the pool of its nodes. */
  readonly #pool: string;
  readonly #body: Body;
  #held: Allocation | undefined;
  #youngest: Incarnation | undefined;

  /** @throws PLACEMENT_FAILED for a place that is not there, WIRE_INVALID for props that are not plain data */
  constructor(placement: Placement, actor: RemoteActor) {
    this.#placement = placement;
    this.#actor = actor;
    this.#pool = placement.poolAt(actor.order.name, actor.place);
    this.#body = encodeBody({ props: actor.props });
  }

  get node(): string | undefined {
    return this.#held?.node.name;
  }

  async launch({ restarts, kept }: IncarnationStart, signal: AbortSignal): Promise<Incarnation> {
    const { node, devices } = await this.#settle(restarts === 0, signal);
    const { order, props } = this.#actor;
    const body = kept === undefined ? this.#body : encodeBody({ props, kept: decodeBody(kept) });
    const start = { ...order, restarts, devices: [...devices] };
    this.#youngest = node.start(start, body, this.#youngest);
    return this.#youngest;
  }

  heapBytes(): number | null {
    return null;
  }

  release(): Promise<void> {
    if (this.#held !== undefined) {
      if (this.#youngest !== undefined) this.#held.node.retire(this.#youngest);
      this.#placement.release(this.#held);
    }
    this.#held = undefined;
    return Promise.resolve();
  }

  /** Finds a node for the next incarnation. @throws PLACEMENT_FAILED when there is no room in time */
  async #settle(isFirst: boolean, signal: AbortSignal): Promise<Allocation> {
    const { order, place, claims, patienceMs } = this.#actor;
    const only = isFirst && 'node' in place ? place.node : undefined;
    const until = performance.now() + patienceMs;
    for (;;) {
      signal.throwIfAborted();
      const held = this.#held;
      if (held !== undefined && this.#placement.has(held.node)) return held;
      const taken = this.#placement.take(this.#pool, claims, only);
      if (taken !== undefined) return (this.#held = taken);
      const leftMs = until - performance.now();
      if (isFirst || leftMs <= 0)
        throw this.#placement.shortage(this.#pool, order.name, claims, only);
      await this.#placement.changed(leftMs, signal);
    }
  }
}

import { addAbortListener } from 'node:events';
import { CxmindError, toWireError } from '../../src/errors.ts';
import { PayloadHeap } from '../../transport/shared/heap.ts';
import { defaultHeartbeat, type Heartbeat } from '../../transport/zmq/liveness.ts';
import type {
  Actor,
  ActorEvent,
  ActorFactory,
  Environment,
  Logger,
  ActorSnapshot,
} from './actor.ts';
import { addressOfModule, makeAt, moduleAt } from './actor-module.ts';
import { ActorThread } from './actor-thread.ts';
import { Cell } from './cell.ts';
import type { Make } from './host.ts';
import type { ChildNodes, ProcessOptions } from './nodes/child-nodes.ts';
import type { Launcher } from './incarnation.ts';
import { localLauncher, RemoteLauncher, threadLauncher } from './launchers.ts';
import { defaultPool, Placement, type Claims, type NodeOptions, type Place } from './placement.ts';
import type { Protocol } from './protocol.ts';
import { refOver, type ActorRef } from './ref.ts';
import { RemoteNode } from './nodes/remote-node.ts';
import { SharedBlocks } from './shared-blocks.ts';
import { defaultSupervision, type Supervision } from './supervisor.ts';
import { WorkWatch, type WorkListener } from './work.ts';

/** Options of every actor, wherever it runs. */
export interface ActorOptions {
  /** Name that is unique in the system: `rollout/0`. */
  readonly name: string;
  readonly supervision?: Supervision;
  /** Number of messages that may be accepted and not done. Further senders wait. Default 1024. */
  readonly mailboxCapacity?: number;
  /** Time that a cancelled handler, or a stop, may take before the actor is ended from outside. Default 5 s. */
  readonly graceMs?: number;
  /** Actors that this one asks. When the system shuts down, they stay until this one is gone. */
  readonly uses?: readonly { readonly name: string }[];
}

/** An actor on a worker thread of its own, in this process or on a node. */
export interface ThreadActor<P extends Protocol, Props> extends ActorOptions {
  readonly protocol: P;
  /** Module that exports the factory, as `new URL('./actor.ts', import.meta.url)`. Nodes need it too. */
  readonly module: URL;
  /** Name of the exported `actorFactory`. */
  readonly create: string;
  /**
   * Plain data, which is cloned for each incarnation.
   *
   * It may hold markers of shared blocks. Shared memory itself only reaches threads of this process.
   */
  readonly props: Props;
  /** Limit of the thread's JavaScript heap. Typed arrays and native memory are outside it. */
  readonly heapLimitMb?: number;
  /** Place of the actor. Default: a thread of this process. */
  readonly place?: Place;
  /** Resources that it takes of its node. Default: one slot in a pool, nothing on a node that is named. */
  readonly claims?: Partial<Claims>;
}

/** An actor on the calling thread. */
export interface LocalActor<P extends Protocol> extends ActorOptions {
  readonly protocol: P;
  readonly create: (environment: Environment) => Actor<P> | Promise<Actor<P>>;
}

/** Options of an actor system, all of them with a default. */
export interface SystemOptions {
  readonly logger?: Logger;
  /** Heartbeat of processes that the system starts itself. It says how soon one that hangs is taken for dead. */
  readonly heartbeat?: Heartbeat;
  /**
   * Runs actors on the main thread of their process in place of threads of their own, for a debugger. Default false.
   *
   * They start faster and compute one at a time. An actor that blocks or exits takes its process with it.
   */
  readonly localMode?: boolean;
  /** Ends actors that are starting when it is aborted, since nobody waits for them any more. */
  readonly signal?: AbortSignal;
}

/** Props that a factory wants: `props: {…} satisfies PropsOf<typeof createRollout>`. */
export type PropsOf<F> = F extends ActorFactory<Protocol, infer Props> ? Props : never;

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A system of actors, in this process and on nodes: it starts them, finds them by name, and stops them. */
export class ActorSystem implements AsyncDisposable {
  /** Blocks of memory that the actors of this process share, by name. */
  readonly blocks = new SharedBlocks();
  /** Aborted when nobody waits any more for actors that are starting. */
  readonly starting: AbortSignal;
  readonly #cells = new Map<string, Cell>();
  readonly #placement = new Placement();
  readonly #heartbeat: Heartbeat;
  readonly #watchers = new Map<string, Set<(event: ActorEvent) => void>>();
  readonly #work = new WorkWatch();
  readonly #failure = new AbortController();
  /** Payloads of this thread. */
  readonly #heap = new PayloadHeap();
  readonly #logger: Logger;
  readonly #isLocal: boolean;
  #children: Promise<ChildNodes> | undefined;
  #deadLetters = 0;
  #closing: Promise<void> | undefined;

  constructor(options: SystemOptions = {}) {
    const { logger = silent, heartbeat = defaultHeartbeat, localMode = false } = options;
    this.starting = options.signal ?? new AbortController().signal;
    this.#logger = logger;
    this.#isLocal = localMode;
    this.#heartbeat = heartbeat;
  }

  /** Number of tells that reached nobody, so far. */
  get deadLetters(): number {
    return this.#deadLetters;
  }

  /** Aborted, with the crash as its reason, when an actor's supervision escalates. */
  get signal(): AbortSignal {
    return this.#failure.signal;
  }

  /** Nodes that live. */
  get nodes(): readonly RemoteNode[] {
    return this.#placement.nodes;
  }

  /**
   * Adds a process that hosts actors, until it is gone.
   *
   * @throws PEER_LOST, WIRE_INVALID for a node of another version, INTERNAL when there is a node of its name
   */
  async addNode({ name, link, resources, pool }: NodeOptions): Promise<RemoteNode> {
    refuseAddress(name);
    const { node, slots } = await RemoteNode.join(name, link, this.#logger);
    try {
      this.#refuseClosed(name);
      this.#placement.add(node, pool ?? defaultPool, { slots, devices: [], ...resources });
    } catch (error) {
      await node.close();
      throw error;
    }
    this.#logger.info({ node: name, pid: node.pid }, 'node joined');
    void node.ended.then((error) =>
      this.#logger.warn({ node: name, error: toWireError(error) }, 'node left'),
    );
    return node;
  }

  /**
   * Starts a process on this host as a node. It ends with the system, or with this process however that ends.
   *
   * @throws PEER_LOST, with its last lines, for a process that ends before it is a node
   */
  async startProcess(options: ProcessOptions): Promise<RemoteNode> {
    refuseAddress(options.name);
    this.#refuseClosed(options.name);
    const children = await (this.#children ??= this.#openChildren());
    return children.start(options);
  }

  /**
   * Starts an actor on a thread and resolves when it takes messages.
   *
   * An actor on a node that is lost counts as crashed. It restarts on another node of the pool that has room, or waits
   * for one as long as a window of its supervision. A first start is not retried.
   *
   * @throws the error of its factory; INTERNAL for a module without that factory; PLACEMENT_FAILED when no node has
   *   room; the reason of the system's signal where that ends it
   */
  async spawn<P extends Protocol, Props>(actor: ThreadActor<P, Props>): Promise<ActorRef<P>> {
    const { place = 'thread' } = actor;
    const launcher =
      place === 'thread' ? this.#threadLauncher(actor) : this.#remoteLauncher(actor, place);
    return this.#begin(actor, launcher);
  }

  /** Starts an actor on the calling thread, for work that must be here and for tests. */
  spawnLocal<P extends Protocol>(actor: LocalActor<P>): Promise<ActorRef<P>> {
    const { name, protocol, create } = actor;
    const make: Make = async (environment) => ({ protocol, actor: await create(environment) });
    return this.#begin(actor, localLauncher(name, make));
  }

  /**
   * Finds an actor; undefined when there is none.
   *
   * @param address  a name, or `name@node` to find the actor only if it is on that node now
   * @param protocol the protocol that the actor was spawned with
   */
  lookup<P extends Protocol>(address: string, protocol: P): ActorRef<P> | undefined {
    const cell = this.#find(address);
    return cell === undefined ? undefined : refOver(protocol, cell.name, cell);
  }

  /** Calls `listener` with each event of an actor until disposed of. Errors of the listener are logged. */
  watch(ref: { readonly name: string }, listener: (event: ActorEvent) => void): Disposable {
    const listeners = this.#watchers.get(ref.name) ?? new Set();
    this.#watchers.set(ref.name, listeners.add(listener));
    return {
      [Symbol.dispose]: () => {
        listeners.delete(listener);
        if (listeners.size === 0) this.#watchers.delete(ref.name);
      },
    };
  }

  /**
   * Calls `listener` with every message that an actor is done with, until disposed of. There is one listener at a time.
   */
  watchWork(listener: WorkListener): Disposable {
    return this.#work.begin(listener);
  }

  /** All actors as they are now, in the order they were spawned. */
  snapshots(): ActorSnapshot[] {
    return [...this.#cells.values()].map((cell) => cell.snapshot());
  }

  /** Stops one actor and waits until it is gone. */
  async stop(ref: { readonly name: string }): Promise<void> {
    await this.#cells.get(ref.name)?.stop();
  }

  /** Stops every actor, each after those that were spawned to use it. The nodes stay, for actors that come next. */
  async stopActors(): Promise<void> {
    const stopped = new Map<Cell, Promise<unknown>>();
    for (const cell of [...this.#cells.values()].reverse()) {
      const users = [...stopped].filter(([user]) => user.uses.has(cell.name));
      const before = Promise.all(users.map(([, end]) => end));
      stopped.set(
        cell,
        before.then(() => cell.stop()),
      );
    }
    await Promise.all(stopped.values());
  }

  /** Stops every actor, then every node, and waits until all are gone. The system starts no new ones. */
  shutdown(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #close(): Promise<void> {
    await this.stopActors();
    await Promise.all(this.nodes.map((node) => node.close()));
    await (await this.#children)?.[Symbol.asyncDispose]();
  }

  async #openChildren(): Promise<ChildNodes> {
    // Imported late, so that ZeroMQ's native code is only loaded where there are processes.
    const { ChildNodes } = await import('./nodes/child-nodes.ts');
    return new ChildNodes({
      heartbeat: this.#heartbeat,
      join: (node) => this.addNode(node),
      onEscalate: (error) => this.#escalate(error),
    });
  }

  #threadLauncher<P extends Protocol, Props>(actor: ThreadActor<P, Props>): Launcher {
    const { name, protocol, create, heapLimitMb } = actor;
    const module = moduleAt(actor.module.href).href;
    const props = this.blocks.resolve(actor.props);
    const address = { module, create, protocolName: protocol.name };
    if (this.#isLocal) {
      return localLauncher(name, (environment) =>
        makeAt(address, structuredClone(props), environment),
      );
    }
    const thread = new ActorThread(name, this.#heap, heapLimitMb);
    return threadLauncher(thread, { ...address, name, node: undefined, devices: [], props });
  }

  #remoteLauncher<P extends Protocol, Props>(
    actor: ThreadActor<P, Props>,
    place: Exclude<Place, 'thread'>,
  ): Launcher {
    const { name, protocol, create, props, heapLimitMb = null } = actor;
    const supervision = actor.supervision ?? defaultSupervision;
    return new RemoteLauncher(this.#placement, {
      order: {
        name,
        protocolName: protocol.name,
        module: addressOfModule(actor.module),
        create,
        heapLimitMb,
        isLocal: this.#isLocal,
      },
      props,
      place,
      claims: { slots: 'pool' in place ? 1 : 0, devices: 0, ...actor.claims },
      patienceMs: supervision.onCrash === 'restart' ? supervision.windowMs : 0,
    });
  }

  async #begin<P extends Protocol>(
    actor: ActorOptions & { readonly protocol: P },
    launcher: Launcher,
  ): Promise<ActorRef<P>> {
    const { name, protocol } = actor;
    refuseAddress(name);
    this.#refuseClosed(name);
    if (this.#cells.has(name)) throw new CxmindError('INTERNAL', `${name} is spawned already`);
    const cell = new Cell({
      name,
      launcher,
      supervision: actor.supervision ?? defaultSupervision,
      mailboxCapacity: actor.mailboxCapacity ?? 1024,
      graceMs: actor.graceMs ?? 5_000,
      uses: new Set(actor.uses?.map((used) => used.name)),
      logger: this.#logger,
      payloads: this.#heap,
      work: this.#work,
      find: (to) => this.#find(to),
      watch: (to, listener) => this.watch({ name: to }, listener),
      onDeadLetter: (to, method) => this.#countDeadLetter(to, method),
      onEvent: (event) => this.#onEvent(event),
      onEscalate: (error) => this.#escalate(error),
    });
    this.#cells.set(name, cell);
    // An actor that is spawned after the abort was not starting then, and is left alone.
    const { starting } = this;
    using _ = starting.aborted ? null : addAbortListener(starting, () => void cell.stop());
    try {
      await cell.start();
    } catch (error) {
      starting.throwIfAborted();
      throw error;
    }
    return refOver(protocol, name, cell);
  }

  #refuseClosed(name: string): void {
    if (this.#closing !== undefined)
      throw new CxmindError('ACTOR_STOPPED', `${name}: the system is shut down`);
  }

  #find(address: string): Cell | undefined {
    const [name = ''] = address.split('@');
    const cell = this.#cells.get(name);
    return address === name || cell?.address === address ? cell : undefined;
  }

  #countDeadLetter(actor: string, method: string): void {
    this.#deadLetters++;
    this.#logger.warn({ actor, method, deadLetters: this.#deadLetters }, 'dead letter');
  }

  #onEvent(event: ActorEvent): void {
    const { kind, name, node, restarts, error } = event;
    const fields = {
      actor: name,
      ...(node !== undefined && { node }),
      restarts,
      ...(error && { error: toWireError(error) }),
    };
    this.#logger[kind === 'crashed' ? 'error' : 'info'](fields, `actor ${kind}`);
    if (kind === 'stopped') this.#cells.delete(name);
    for (const listener of this.#watchers.get(name) ?? []) {
      try {
        listener(event);
      } catch (thrown) {
        // Neither the actor nor the other listeners may depend on this one.
        this.#logger.error(
          { actor: name, error: toWireError(thrown) },
          `watcher of ${kind} failed`,
        );
      }
    }
  }

  #escalate(error: CxmindError): void {
    this.#failure.abort(error);
    void this.shutdown();
  }
}

/** Refuses a name that would read as an address. @throws INTERNAL */
function refuseAddress(name: string): void {
  if (name.includes('@')) {
    throw new CxmindError('INTERNAL', `${name}: a name has no @, which stands before a node`);
  }
}

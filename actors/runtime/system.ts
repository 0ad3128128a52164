import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CxmindError, toWireError } from '../../src/errors.ts';
import type { Actor, ActorFactory, Environment, Logger } from './actor.ts';
import { Cell } from './cell.ts';
import type { ActorEvent } from './event.ts';
import { launcherHere, startLocal, startThread, type Launcher } from './incarnation.ts';
import type { Protocol } from './protocol.ts';
import { refOver, type ActorRef } from './ref.ts';
import { defaultSupervision, type Supervision } from './supervisor.ts';

/** What every actor may be given beside what it is. */
export interface ActorOptions {
  /** Its address, unique in the system: `rollout/0`. */
  readonly name: string;
  readonly supervision?: Supervision;
  /** Messages accepted and not done; further senders wait. Default 64. */
  readonly mailboxCapacity?: number;
  /** Time for a handler to end after its caller gave up, and for a stop, before it is ended from outside. Default 5 s. */
  readonly graceMs?: number;
}

/** An actor on a worker thread of its own. */
export interface ThreadActor<P extends Protocol, Props> extends ActorOptions {
  readonly protocol: P;
  /** The module that exports the factory, as `new URL('./actor.ts', import.meta.url)`. */
  readonly module: URL;
  /** The name of the exported `actorFactory`. */
  readonly create: string;
  /** Plain data, SharedArrayBuffers among it; cloned for each life of the actor. */
  readonly props: Props;
  /** Limit of the thread's JavaScript heap; typed arrays and native memory are outside it. */
  readonly heapLimitMb?: number;
}

/** An actor on the calling thread. */
export interface LocalActor<P extends Protocol> extends ActorOptions {
  readonly protocol: P;
  readonly create: (environment: Environment) => Actor<P> | Promise<Actor<P>>;
}

/** The props a factory wants: `props: {…} satisfies PropsOf<typeof createRollout>`. */
export type PropsOf<F> = F extends ActorFactory<Protocol, infer Props> ? Props : never;

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Where a thread's code starts, beside this file: `.ts` in the sources, `.js` in `dist`. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const threadEntry = new URL(`./thread-entry${extension}`, import.meta.url);

/** The actors of this process: their addresses, their lives, their end. */
export class ActorSystem implements AsyncDisposable {
  readonly #cells = new Map<string, Cell>();
  readonly #watchers = new Map<string, Set<(event: ActorEvent) => void>>();
  readonly #failure = new AbortController();
  readonly #logger: Logger;
  #deadLetters = 0;
  #isClosed = false;

  constructor(options: { readonly logger?: Logger } = {}) {
    this.#logger = options.logger ?? silent;
  }

  /** Tells that reached nobody, so far. */
  get deadLetters(): number {
    return this.#deadLetters;
  }

  /** Aborted, with the crash as its reason, when an actor's supervision escalates. */
  get signal(): AbortSignal {
    return this.#failure.signal;
  }

  /**
   * Starts an actor on a thread and resolves when it takes messages.
   *
   * @throws what its factory threw, or INTERNAL for a module without that factory; a first start is not retried
   */
  spawn<P extends Protocol, Props>(actor: ThreadActor<P, Props>): Promise<ActorRef<P>> {
    const { name, protocol, create, props } = actor;
    const module = resolveModule(actor.module).href;
    const launcher = launcherHere(({ restarts }) =>
      startThread(
        threadEntry,
        { name, restarts, protocolName: protocol.name, module, create, props },
        actor.heapLimitMb,
      ),
    );
    return this.#begin(actor, launcher);
  }

  /** Starts an actor on the calling thread, for what must be here and for tests. */
  spawnLocal<P extends Protocol>(actor: LocalActor<P>): Promise<ActorRef<P>> {
    const launcher = launcherHere(({ restarts }) =>
      startLocal(actor.name, restarts, actor.protocol, actor.create),
    );
    return this.#begin(actor, launcher);
  }

  /** The actor at an address, or undefined; `protocol` must be the one it was spawned with. */
  lookup<P extends Protocol>(name: string, protocol: P): ActorRef<P> | undefined {
    const cell = this.#cells.get(name);
    return cell === undefined ? undefined : refOver(protocol, name, cell);
  }

  /** Calls `listener` for everything that happens to an actor until disposed of. */
  watch(ref: { readonly name: string }, listener: (event: ActorEvent) => void): Disposable {
    const listeners = this.#watchers.get(ref.name) ?? new Set();
    this.#watchers.set(ref.name, listeners.add(listener));
    return { [Symbol.dispose]: () => void listeners.delete(listener) };
  }

  /** Stops one actor and waits until it is gone. */
  async stop(ref: { readonly name: string }): Promise<void> {
    await this.#cells.get(ref.name)?.stop();
  }

  /** Stops every actor and waits until all are gone; the system takes no new ones. */
  async shutdown(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#cells.values()].map((cell) => cell.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #begin<P extends Protocol>(
    actor: ActorOptions & { readonly protocol: P },
    launcher: Launcher,
  ): Promise<ActorRef<P>> {
    const { name, protocol } = actor;
    if (this.#isClosed) throw new CxmindError('ACTOR_STOPPED', `${name}: the system is shut down`);
    if (this.#cells.has(name)) throw new CxmindError('INTERNAL', `${name} is spawned already`);
    const cell = new Cell({
      name,
      launcher,
      supervision: actor.supervision ?? defaultSupervision,
      mailboxCapacity: actor.mailboxCapacity ?? 64,
      graceMs: actor.graceMs ?? 5_000,
      logger: this.#logger,
      find: (to) => this.#cells.get(to),
      onDeadLetter: (to, method) => this.#countDeadLetter(to, method),
      onEvent: (event) => this.#onEvent(event),
      onEscalate: (error) => this.#escalate(error),
    });
    this.#cells.set(name, cell);
    await cell.start();
    return refOver(protocol, name, cell);
  }

  #countDeadLetter(actor: string, method: string): void {
    this.#deadLetters++;
    this.#logger.warn({ actor, method, deadLetters: this.#deadLetters }, 'dead letter');
  }

  #onEvent(event: ActorEvent): void {
    const { kind, name, restarts, error } = event;
    const fields = { actor: name, restarts, ...(error && { error: toWireError(error) }) };
    this.#logger[kind === 'crashed' ? 'error' : 'info'](fields, `actor ${kind}`);
    if (kind === 'stopped') this.#cells.delete(name);
    for (const listener of this.#watchers.get(name) ?? []) listener(event);
  }

  #escalate(error: CxmindError): void {
    this.#failure.abort(error);
    void this.shutdown();
  }
}

/** The module as it exists here: a package built to `dist` has `.js` where the sources say `.ts`. */
function resolveModule(module: URL): URL {
  if (module.protocol !== 'file:' || existsSync(fileURLToPath(module))) return module;
  const built = new URL(module.href.replace(/\.ts$/, '.js'));
  return existsSync(fileURLToPath(built)) ? built : module;
}

import { asCxmindError, CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import { decodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/payload-memory.ts';
import type { ActorEvent, Logger } from './actor.ts';
import { Outbox, receive, type Envelope, type EnvelopeOf } from './envelope.ts';
import type { Incarnation, Launcher } from './incarnation.ts';
import { PendingAsks } from './pending-asks.ts';
import {
  stoppedError,
  type ActorStatus,
  type AskOptions,
  type Sender,
  type StreamOptions,
} from './ref.ts';
import { Relay, type RelayOptions } from './relay.ts';
import { CrashRecord, type Supervision } from './supervisor.ts';
import type { WorkWatch } from './work.ts';

/** Options of a cell and of its relays. The cell, too, reports dead letters to `onDeadLetter`. */
export interface CellOptions extends RelayOptions {
  readonly name: string;
  readonly launcher: Launcher;
  readonly supervision: Supervision;
  readonly mailboxCapacity: number;
  /** Time that a cancelled handler, or a stop, may take before the actor is ended from outside. */
  readonly graceMs: number;
  /** Names of actors that must not be stopped before this one. */
  readonly uses: ReadonlySet<string>;
  readonly logger: Logger;
  /** Memory for the tensors of messages to the actor. */
  readonly payloads: PayloadMemory;
  readonly work: WorkWatch;
  /** Called with each event. It must not throw, and may stop the actor. */
  readonly onEvent: (event: ActorEvent) => void;
  readonly onEscalate: (error: CxmindError) => void;
}

/** An actor as its supervision sees it. */
export interface ActorSnapshot {
  readonly name: string;
  readonly status: ActorStatus;
  /** Name of the node it is on; undefined in the system's own process. */
  readonly node: string | undefined;
  /** Number of messages that are not done. */
  readonly pending: number;
  /** Number of messages that its mailbox takes. */
  readonly capacity: number;
  /** Method that it works on; null where it waits for a message. */
  readonly method: string | null;
  /** Time at which that began, by `performance.now()`; 0 where nobody watches the work of actors. */
  readonly sinceMs: number;
  readonly restarts: number;
  /** Bytes of its thread's JavaScript heap; null where it has no thread in this process. */
  readonly heapBytes: number | null;
  /** Reason of its newest crash. */
  readonly lastError: CxmindError | undefined;
}

/**
 * The system's side of one actor, from its start to its stop.
 *
 * The cell launches one incarnation after another and supervises them. Refs send through it, and messages that no
 * incarnation got yet wait in it. The `ActorHost` is its counterpart at the actor's end of the channel.
 *
 *   status       ready     crash                    stop()
 *   starting     running   stopped                  stopping
 *   running      -         restarting or stopped *  stopping
 *   restarting   running   restarting or stopped *  stopping
 *   stopping     -         stopped                  -
 *
 *   * as the supervision decides
 */
export class Cell implements Sender {
  readonly name: string;
  readonly #options: CellOptions;
  readonly #pending: PendingAsks;
  readonly #crashes: CrashRecord;
  readonly #started = Promise.withResolvers<undefined>();
  readonly #stopped = Promise.withResolvers<undefined>();
  #status: ActorStatus = 'starting';
  /** Cancels the launch that is in progress. */
  #launching: AbortController | undefined;
  #incarnation: Incarnation | undefined;
  /**
   * Reason for which the incarnation crashes, where it is known before the incarnation ends: the actor reports it, or a
   * handler ignores its cancellation. The first reason counts. Cleared when the next incarnation is decided on.
   */
  #crashReason: CxmindError | undefined;
  #restarts = 0;
  /** Newest crash, an error around its reason. */
  #lastError: CxmindError | undefined;
  /** State that the actor kept for its next incarnation. */
  #kept: Body | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #graceTimer: NodeJS.Timeout | undefined;

  constructor(options: CellOptions) {
    const { name } = options;
    this.name = name;
    this.#options = options;
    this.#crashes = new CrashRecord(options.supervision);
    // Nobody waits for the start of a cell that is stopped before it.
    this.#started.promise.catch(() => undefined);
    this.#pending = new PendingAsks({
      name,
      capacity: options.mailboxCapacity,
      graceMs: options.graceMs,
      work: options.work,
      onDeadLetter: (method) => options.onDeadLetter(name, method),
      onOverdue: (error) => {
        // A handler that ignores its cancellation blocks every message behind it, so the incarnation counts as crashed.
        this.#crashReason ??= error;
        this.#incarnation?.terminate();
      },
    });
  }

  get uses(): ReadonlySet<string> {
    return this.#options.uses;
  }

  get address(): string {
    const { node } = this.#options.launcher;
    return node === undefined ? this.name : `${this.name}@${node}`;
  }

  get status(): ActorStatus {
    return this.#status;
  }

  get pending(): number {
    return this.#pending.size;
  }

  get payloads(): PayloadMemory {
    return this.#options.payloads;
  }

  snapshot(): ActorSnapshot {
    const { launcher, mailboxCapacity } = this.#options;
    const { method, sinceMs } = this.#pending.working;
    return {
      name: this.name,
      status: this.#status,
      node: launcher.node,
      pending: this.#pending.size,
      capacity: mailboxCapacity,
      method,
      sinceMs,
      restarts: this.#restarts,
      heapBytes: launcher.heapBytes(),
      lastError: this.#lastError,
    };
  }

  ask(method: string, body: Body, options: AskOptions): Promise<Body> {
    return this.#pending.ask(method, body, options);
  }

  tell(method: string, body: Body): Promise<void> {
    return this.#pending.tell(method, body);
  }

  stream(method: string, body: Body, options: StreamOptions): AsyncIterable<Body> {
    return this.#pending.stream(method, body, options);
  }

  /** Launches the first incarnation and resolves when it is ready. Rejects with what went wrong. */
  async start(): Promise<void> {
    void this.#launch();
    await this.#started.promise;
  }

  async #launch(): Promise<void> {
    const launching = new AbortController();
    this.#launching = launching;
    let incarnation: Incarnation;
    try {
      const start = { restarts: this.#restarts, kept: this.#kept };
      incarnation = await this.#options.launcher.launch(start, launching.signal);
    } catch (error) {
      this.#launching = undefined;
      this.#onEnded(asCxmindError(error));
      return;
    }
    this.#launching = undefined;
    const relay = new Relay(incarnation.channel, this.#options);
    this.#incarnation = incarnation;
    receive(
      incarnation.channel,
      (envelope, body) => this.#onMessage(envelope, body, relay, incarnation),
      (error) =>
        this.#options.logger.error({ actor: this.name, error: toWireError(error) }, 'bad packet'),
    );
    void incarnation.ended.then((reason) => {
      relay.close();
      this.#incarnation = undefined;
      this.#onEnded(this.#crashReason ?? reason);
    });
    // `stop` was called during the launch, which was too far to be cancelled.
    if (launching.signal.aborted) this.#endInOrder(incarnation);
  }

  #onMessage(envelope: Envelope, body: Body, relay: Relay, incarnation: Incarnation): void {
    switch (envelope.kind) {
      // Messages of the actor to other actors.
      case 'ask':
      case 'stream':
      case 'tell':
      case 'watch':
      case 'unwatch':
      case 'credit':
      case 'cancel':
        relay.handle(envelope, body);
        return;
      // Answers of the actor to messages of this cell.
      case 'item':
      case 'reply':
      case 'refusal':
      case 'done':
        this.#pending.take(envelope, body);
        return;
      case 'ready':
        this.#onReady(incarnation);
        return;
      case 'crashed':
        this.#crashReason ??= fromWireError(envelope.error);
        this.#terminateAfterGrace(incarnation);
        return;
      case 'kept':
        this.#kept = body;
        return;
      case 'log':
        this.#log(envelope, body);
        return;
      case 'event':
      case 'stop':
      case 'stopped':
        // Actors never send `event` and `stop`. After `stopped` the channel ends, and `#onEnded` follows.
        return;
    }
  }

  #onReady(incarnation: Incarnation): void {
    // It was told to stop while its actor was made, and will end.
    if (this.#status === 'stopping') return;
    this.#status = 'running';
    this.#pending.connect(incarnation);
    this.#started.resolve(undefined);
    this.#notify(this.#restarts === 0 ? 'started' : 'restarted');
  }

  /** Ends the actor in order, or from outside when that takes longer than the grace. Resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#status !== 'stopped' && this.#status !== 'stopping') {
      this.#status = 'stopping';
      this.#pending.close(this.#crashReason);
      clearTimeout(this.#restartTimer);
      if (this.#incarnation !== undefined) this.#endInOrder(this.#incarnation);
      else if (this.#launching !== undefined) this.#launching.abort(stoppedError(this.name));
      else void this.#finish();
    }
    await this.#stopped.promise;
  }

  #endInOrder(incarnation: Incarnation): void {
    new Outbox(incarnation.urgent).post({ kind: 'stop' });
    this.#terminateAfterGrace(incarnation);
  }

  /** Ends an incarnation from outside if it takes longer than the grace to dispose of what it has. */
  #terminateAfterGrace(incarnation: Incarnation): void {
    clearTimeout(this.#graceTimer);
    this.#graceTimer = setTimeout(() => {
      this.#options.logger.warn({ actor: this.name }, 'actor did not stop in time');
      incarnation.terminate();
    }, this.#options.graceMs);
  }

  /** Decides what follows when an incarnation has ended, or could not be launched. */
  #onEnded(reason: CxmindError): void {
    clearTimeout(this.#graceTimer);
    // The actor was told to stop, so its end is no crash, whatever caused it.
    if (this.#status === 'stopping') {
      void this.#finish();
      return;
    }
    const error = new CxmindError('ACTOR_CRASHED', `${this.name} crashed: ${reason.message}`, {
      detail: { actor: this.name },
      cause: reason,
    });
    this.#lastError = error;
    const status = this.#status;
    this.#notify('crashed', error);
    // A listener may have stopped the actor.
    if (this.#status !== status) return;
    // A first start is not retried: wrong props or a missing file would fail again, and the spawner waits for the error.
    if (this.#status === 'starting') {
      void this.#finish(error);
      return;
    }
    // Nobody knows how far the incarnation got with the messages it had, so they fail. Messages it did not have wait.
    this.#status = 'restarting';
    this.#pending.disconnect(error);
    const verdict = this.#crashes.add(reason);
    switch (verdict.kind) {
      case 'restart':
        this.#crashReason = undefined;
        this.#restartTimer = setTimeout(() => {
          this.#restarts++;
          void this.#launch();
        }, verdict.afterMs);
        return;
      case 'stop':
        // The other actors go on without this one. Asks to it fail from now on.
        void this.#finish(error);
        return;
      case 'escalate':
        // The other actors cannot do without this one, so the whole system stops.
        void this.#finish(error);
        this.#options.onEscalate(error);
        return;
    }
  }

  /**
   * Ends the cell: no incarnation runs or follows, and nobody waits for a reply any more.
   *
   * @param crash the crash that ends it, where it is not stopped in order
   */
  async #finish(crash?: CxmindError): Promise<void> {
    this.#status = 'stopped';
    this.#pending.abandon(crash);
    // The event names the actor's node, which the launcher forgets when it releases the place.
    const event = this.#event('stopped', crash);
    try {
      await this.#options.launcher.release();
    } catch (thrown) {
      // The place may stay claimed, but those who wait for the end must not wait for ever.
      const wire = toWireError(thrown);
      this.#options.logger.error({ actor: this.name, error: wire }, 'actor not released');
    }
    this.#options.onEvent(event);
    // Those who wait for a first start that fails get its reason, without the wrapping of a crash.
    this.#started.reject(crash?.cause ?? this.#crashReason ?? stoppedError(this.name));
    this.#stopped.resolve(undefined);
  }

  #notify(kind: ActorEvent['kind'], error?: CxmindError): void {
    this.#options.onEvent(this.#event(kind, error));
  }

  #event(kind: ActorEvent['kind'], error?: CxmindError): ActorEvent {
    const { node } = this.#options.launcher;
    return {
      kind,
      name: this.name,
      restarts: this.#restarts,
      ...(node !== undefined && { node }),
      ...(error !== undefined && { error }),
    };
  }

  #log({ level, event }: EnvelopeOf<'log'>, body: Body): void {
    const { launcher, logger } = this.#options;
    const place = launcher.node === undefined ? {} : { node: launcher.node };
    logger[level]({ actor: this.name, ...place, ...(decodeBody(body) as object) }, event);
  }
}

import { asCxmindError, CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import { decodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/payload-memory.ts';
import type { ActorEvent, ActorSnapshot, Logger } from './actor.ts';
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

/** Options of a cell and of its relays, among them `onDeadLetter`, which the cell calls too. */
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

/** A launch that is in progress. */
interface Launch {
  readonly kind: 'launch';
  readonly cancel: AbortController;
}

/** An incarnation that was launched and has not ended. */
interface Launched {
  readonly kind: 'launched';
  readonly incarnation: Incarnation;
  /**
   * Reason for which the incarnation crashes, where it is known before the incarnation ends: the actor reports it, or a
   * handler ignores its cancellation. The first reason counts.
   */
  crashReason?: CxmindError;
  /** Ends the incarnation from outside. It runs from the moment at which the incarnation is to end. */
  graceTimer?: NodeJS.Timeout;
}

/** The time between a crash and the launch that follows. */
interface Backoff {
  readonly kind: 'backoff';
  readonly timer: NodeJS.Timeout;
}

/**
 * The system's side of one actor, from its start to its stop.
 *
 * The cell launches one incarnation after another and supervises them. Refs send through it. Messages that no incarnation
 * got yet wait in the mailbox of its `PendingAsks`. The `ActorHost` is its counterpart at the actor's end of the channel.
 *
 *   status      phases, in this order      when ready  when it crashes          after stop()
 *   starting    null, launch, launched     running     stopped                  stopping
 *   running     launched                   -           restarting or stopped *  stopping
 *   restarting  backoff, launch, launched  running     restarting or stopped *  stopping
 *   stopping    launch, launched           -           stopped                  -
 *   stopped     null                       -           -                        -
 *
 *   * as the supervision decides
 *
 * `PendingAsks` sends messages of any kind once it is connected to an incarnation. When that has crashed and ended, it is
 * disconnected, and those that were sent fail. From `stop` on it is closed to new ones, and at the end it abandons the
 * rest.
 */
export class Cell implements Sender {
  readonly name: string;
  readonly #options: CellOptions;
  readonly #pending: PendingAsks;
  readonly #crashes: CrashRecord;
  readonly #started = Promise.withResolvers<undefined>();
  readonly #stopped = Promise.withResolvers<undefined>();
  #status: ActorStatus = 'starting';
  /** Null before `start`, and once the cell has ended. */
  #phase: Launch | Launched | Backoff | null = null;
  #restarts = 0;
  /** Newest crash, an error around its reason. */
  #lastError: CxmindError | undefined;
  /** State that the actor kept for its next incarnation. */
  #kept: Body | undefined;

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
        if (this.#phase?.kind !== 'launched') return;
        this.#phase.crashReason ??= error;
        this.#phase.incarnation.terminate();
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

  /**
   * Launches the first incarnation and resolves when it is ready; called once.
   *
   * @throws what went wrong; ACTOR_STOPPED when it is stopped before
   */
  async start(): Promise<void> {
    if (this.#status === 'starting') void this.#launch();
    await this.#started.promise;
  }

  async #launch(): Promise<void> {
    const cancel = new AbortController();
    this.#phase = { kind: 'launch', cancel };
    let incarnation: Incarnation;
    try {
      const start = { restarts: this.#restarts, kept: this.#kept };
      incarnation = await this.#options.launcher.launch(start, cancel.signal);
    } catch (error) {
      this.#onEnded(asCxmindError(error));
      return;
    }
    const launched: Launched = { kind: 'launched', incarnation };
    this.#phase = launched;
    const relay = new Relay(incarnation.channel, this.#options);
    receive(
      incarnation.channel,
      (envelope, body) => this.#onMessage(envelope, body, relay, launched),
      (error) =>
        this.#options.logger.error({ actor: this.name, error: toWireError(error) }, 'bad packet'),
    );
    void incarnation.ended.then((reason) => {
      relay.close();
      clearTimeout(launched.graceTimer);
      this.#onEnded(reason, launched.crashReason);
    });
    // `stop` was called during the launch, when it was too late to cancel it.
    if (this.#status === 'stopping') this.#endGracefully(launched);
  }

  #onMessage(envelope: Envelope, body: Body, relay: Relay, launched: Launched): void {
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
        this.#onReady(launched);
        return;
      case 'crashed':
        launched.crashReason ??= fromWireError(envelope.error);
        this.#terminateAfterGrace(launched);
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

  #onReady(launched: Launched): void {
    // The incarnation may have ended meanwhile, or have been told to stop while it made its actor.
    if (this.#phase !== launched || this.#status === 'stopping') return;
    this.#status = 'running';
    this.#pending.connect(launched.incarnation);
    this.#started.resolve(undefined);
    this.#notify(this.#restarts === 0 ? 'started' : 'restarted');
  }

  /** Ends the actor gracefully, or from outside when that takes longer than the grace. Resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#status !== 'stopped' && this.#status !== 'stopping') this.#beginStop();
    await this.#stopped.promise;
  }

  #beginStop(): void {
    this.#status = 'stopping';
    const phase = this.#phase;
    // If it has crashed and only disposes of what it has, later messages are told so.
    this.#pending.close(phase?.kind === 'launched' ? phase.crashReason : undefined);
    if (phase === null) {
      void this.#finish();
      return;
    }
    switch (phase.kind) {
      case 'launch':
        phase.cancel.abort(stoppedError(this.name));
        return;
      case 'launched':
        this.#endGracefully(phase);
        return;
      case 'backoff':
        clearTimeout(phase.timer);
        void this.#finish();
        return;
    }
  }

  #endGracefully(launched: Launched): void {
    // The urgent channel's messages pass those that wait in the other.
    new Outbox(launched.incarnation.urgent).post({ kind: 'stop' });
    this.#terminateAfterGrace(launched);
  }

  /**
   * Ends an incarnation from outside if it takes longer than the grace to dispose of what it has. A stop that follows a
   * crash does not prolong the grace.
   */
  #terminateAfterGrace(launched: Launched): void {
    launched.graceTimer ??= setTimeout(() => {
      this.#options.logger.warn({ actor: this.name }, 'actor did not end in time');
      launched.incarnation.terminate();
    }, this.#options.graceMs);
  }

  /**
   * Decides what follows when an incarnation has ended, or could not be launched.
   *
   * @param end      what ended it
   * @param reported the reason of a crash that was known before; it says more than `end`
   */
  #onEnded(end: CxmindError, reported?: CxmindError): void {
    // The actor was told to stop, so its end is no crash, whatever caused it.
    if (this.#status === 'stopping') {
      void this.#finish({ reason: reported });
      return;
    }
    const reason = reported ?? end;
    const crash = new CxmindError('ACTOR_CRASHED', `${this.name} crashed: ${reason.message}`, {
      detail: { actor: this.name },
      cause: reason,
    });
    this.#lastError = crash;
    // Nobody knows how far the incarnation got with the messages it had, so they fail. Messages it did not have wait.
    this.#pending.disconnect(crash);
    // A first start is not retried: wrong props or a missing file would fail again, and the spawner waits for the error.
    const isFirstStart = this.#status === 'starting';
    const verdict = isFirstStart ? ({ kind: 'stop' } as const) : this.#crashes.add(reason);
    if (verdict.kind === 'restart') this.#restartAfter(verdict.afterMs);
    else void this.#finish({ crash, reason });
    // A listener may stop the actor, so all is decided before it hears of the crash. The event `stopped` comes later,
    // since `#finish` awaits the release first.
    this.#notify('crashed', crash);
    // The other actors cannot do without this one, so the whole system stops.
    if (verdict.kind === 'escalate') this.#options.onEscalate(crash);
  }

  #restartAfter(delayMs: number): void {
    this.#status = 'restarting';
    const timer = setTimeout(() => {
      this.#restarts++;
      void this.#launch();
    }, delayMs);
    this.#phase = { kind: 'backoff', timer };
  }

  /**
   * Ends the cell: no incarnation runs or follows, and nobody waits for a reply any more.
   *
   * @param end.crash  the crash that ends it; undefined where `stop` does
   * @param end.reason the reason of a crash, for whoever waits for the first start; undefined where there was none
   */
  async #finish({
    crash,
    reason,
  }: { crash?: CxmindError; reason?: CxmindError | undefined } = {}): Promise<void> {
    this.#status = 'stopped';
    this.#phase = null;
    this.#pending.abandon(crash);
    // The event names the actor's node, which the launcher forgets when it gives the actor's place there back.
    const event = this.#event('stopped', crash);
    try {
      await this.#options.launcher.release();
    } catch (thrown) {
      // The place may stay claimed, but those who wait for the end must not wait for ever.
      const wire = toWireError(thrown);
      this.#options.logger.error({ actor: this.name, error: wire }, 'actor not released');
    }
    this.#options.onEvent(event);
    // This changes nothing for an actor that has started.
    this.#started.reject(reason ?? stoppedError(this.name));
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

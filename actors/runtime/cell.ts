import * as E from 'fp-ts/lib/Either.js';
import { asCxmindError, CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Packet } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/bytes.ts';
import type { Logger } from './actor.ts';
import { PendingAsks } from './pending-asks.ts';
import { open, post, type EnvelopeOf } from './envelope.ts';
import type { ActorEvent } from './event.ts';
import type { Incarnation, Launcher } from './incarnation.ts';
import {
  stoppedError,
  valueOf,
  type ActorStatus,
  type AskOptions,
  type Sender,
  type StreamOptions,
} from './ref.ts';
import { Relay, type RelayOptions } from './relay.ts';
import { verdictOn, type Supervision } from './supervisor.ts';

export interface CellOptions extends RelayOptions {
  readonly name: string;
  /** Begins the lives of the actor. */
  readonly launcher: Launcher;
  readonly supervision: Supervision;
  readonly mailboxCapacity: number;
  /** How long a cancelled handler, or a stop, may take before the actor is ended from outside. */
  readonly graceMs: number;
  /** Names of actors that must not be stopped before it. */
  readonly uses: ReadonlySet<string>;
  readonly logger: Logger;
  /** Where the tensors of messages to it go. */
  readonly payloads: PayloadMemory;
  /** Must not throw. */
  readonly onEvent: (event: ActorEvent) => void;
  readonly onEscalate: (error: CxmindError) => void;
}

/** The system's side of one actor through all its lives: its asks, its supervision, its end. */
export class Cell implements Sender {
  readonly name: string;
  readonly #options: CellOptions;
  readonly #asks: PendingAsks;
  readonly #crashTimes: number[] = [];
  readonly #gone = Promise.withResolvers<undefined>();
  #status: ActorStatus = 'starting';
  /** Aborted when the actor is stopped while its next life is sought or waited for. */
  #launching: AbortController | undefined;
  #incarnation: Incarnation | undefined;
  #lastWords: CxmindError | undefined;
  #onReady: (() => void) | undefined;
  #restarts = 0;
  /** What the actor kept for its next life. */
  #kept: Body | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #stopTimer: NodeJS.Timeout | undefined;

  constructor(options: CellOptions) {
    const { name, mailboxCapacity: capacity, graceMs } = options;
    this.name = name;
    this.#options = options;
    this.#asks = new PendingAsks({
      name,
      capacity,
      graceMs,
      onDeadLetter: (method) => options.onDeadLetter(name, method),
      onOverdue: (error) => {
        this.#lastWords = error;
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
    return this.#asks.size;
  }

  get payloads(): PayloadMemory {
    return this.#options.payloads;
  }

  /** Begins the first life. A failure to start is not retried: it rejects with what went wrong. */
  async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.#onReady = () => resolve(undefined);
    void this.#gone.promise.then(() => reject(this.#lastWords ?? stoppedError(this.name)));
    void this.#live();
    await promise;
  }

  ask(method: string, body: Body, options: AskOptions): Promise<Body> {
    return this.#asks.ask(method, body, options);
  }

  tell(method: string, body: Body): Promise<void> {
    return this.#asks.tell(method, body);
  }

  stream(method: string, body: Body, options: StreamOptions): AsyncIterable<Body> {
    return this.#asks.stream(method, body, options);
  }

  /** Ends the actor in order, or from outside when that takes longer than the grace; resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#status !== 'stopped' && this.#status !== 'stopping') {
      this.#status = 'stopping';
      this.#asks.close(this.#lastWords);
      clearTimeout(this.#restartTimer);
      if (this.#incarnation !== undefined) this.#end(this.#incarnation);
      else if (this.#launching !== undefined) this.#launching.abort(stoppedError(this.name));
      else void this.#retire();
    }
    await this.#gone.promise;
  }

  async #live(): Promise<void> {
    const launching = new AbortController();
    this.#launching = launching;
    let incarnation: Incarnation;
    try {
      const life = { restarts: this.#restarts, kept: this.#kept };
      incarnation = await this.#options.launcher.launch(life, launching.signal);
    } catch (error) {
      this.#onEnded(asCxmindError(error));
      return;
    } finally {
      this.#launching = undefined;
    }
    const relay = new Relay(incarnation.channel, this.#options);
    this.#incarnation = incarnation;
    incarnation.channel.receive((packet) => this.#take(packet, relay, incarnation));
    void incarnation.ended.then((reason) => {
      relay.close();
      this.#incarnation = undefined;
      this.#onEnded(this.#lastWords ?? reason);
    });
    if (launching.signal.aborted) this.#end(incarnation);
  }

  #end(incarnation: Incarnation): void {
    post(incarnation.urgent, { kind: 'stop' });
    this.#expectEnd(incarnation);
  }

  /** Ends a life from outside if it takes longer than the grace to dispose of what it has. */
  #expectEnd(incarnation: Incarnation): void {
    clearTimeout(this.#stopTimer);
    this.#stopTimer = setTimeout(() => {
      this.#options.logger.warn({ actor: this.name }, 'actor did not stop in time');
      incarnation.terminate();
    }, this.#options.graceMs);
  }

  #take(packet: Packet, relay: Relay, incarnation: Incarnation): void {
    const opened = open(packet);
    if (E.isLeft(opened)) {
      const error = toWireError(opened.left);
      this.#options.logger.error({ actor: this.name, error }, 'bad packet');
      return;
    }
    const { envelope, body } = opened.right;
    switch (envelope.kind) {
      case 'ask':
      case 'stream':
      case 'tell':
      case 'watch':
      case 'unwatch':
      case 'credit':
      case 'cancel':
        relay.handle(envelope, body);
        return;
      case 'item':
      case 'reply':
      case 'refusal':
      case 'done':
        this.#asks.take(envelope, body);
        return;
      case 'ready':
        this.#run(incarnation);
        return;
      case 'crashed':
        this.#lastWords ??= fromWireError(envelope.error);
        this.#expectEnd(incarnation);
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
        return;
    }
  }

  #run(incarnation: Incarnation): void {
    if (this.#status === 'stopping') return;
    this.#status = 'running';
    this.#lastWords = undefined;
    this.#asks.connect(incarnation);
    this.#onReady?.();
    this.#notify(this.#restarts === 0 ? 'started' : 'restarted');
  }

  #onEnded(reason: CxmindError): void {
    clearTimeout(this.#stopTimer);
    if (this.#status === 'stopping') {
      void this.#retire();
      return;
    }
    const error = new CxmindError('ACTOR_CRASHED', `${this.name} crashed: ${reason.message}`, {
      detail: { actor: this.name },
      cause: reason,
    });
    this.#notify('crashed', error);
    if (this.#status === 'starting') {
      this.#lastWords = reason;
      void this.#retire(error);
      return;
    }
    this.#status = 'restarting';
    this.#asks.disconnect(error);
    this.#crashTimes.push(performance.now());
    const verdict = verdictOn(this.#options.supervision, this.#crashTimes, reason);
    if (verdict.kind === 'restart') {
      this.#lastWords = undefined;
      this.#restartTimer = setTimeout(() => {
        this.#restarts++;
        void this.#live();
      }, verdict.afterMs);
      return;
    }
    this.#lastWords = error;
    void this.#retire(error);
    if (verdict.kind === 'escalate') this.#options.onEscalate(error);
  }

  /** The last thing that happens to a cell: nobody runs, nobody waits. */
  async #retire(error?: CxmindError): Promise<void> {
    this.#status = 'stopped';
    this.#asks.abandon(error);
    const event = this.#event('stopped', error);
    try {
      await this.#options.launcher.release();
    } catch (thrown) {
      // What it claimed may stay taken, but who waits for its end must not wait for ever.
      const wire = toWireError(thrown);
      this.#options.logger.error({ actor: this.name, error: wire }, 'actor not released');
    }
    this.#options.onEvent(event);
    this.#gone.resolve(undefined);
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
    logger[level]({ actor: this.name, ...place, ...(valueOf(body) as object) }, event);
  }
}

import * as E from 'fp-ts/lib/Either.js';
import { CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Packet } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';
import type { Logger } from './actor.ts';
import { open, post, type EnvelopeOf } from './envelope.ts';
import type { Incarnation } from './incarnation.ts';
import { afterTurn, AskLetter, type TellLetter } from './letter.ts';
import { Mailbox } from './mailbox.ts';
import { stoppedError, valueOf, type ActorStatus, type AskOptions, type Courier } from './ref.ts';
import { Relay } from './relay.ts';
import { verdictOn, type Supervision } from './supervisor.ts';
import { cancelledError } from './uplink.ts';

/** What happened to an actor; `restarts` counts from its spawn. */
export interface ActorEvent {
  readonly kind: 'started' | 'crashed' | 'restarted' | 'stopped';
  readonly name: string;
  readonly restarts: number;
  /** Why, for a crash and for the stop that follows from one. */
  readonly error?: CxmindError;
}

export interface CellOptions {
  readonly name: string;
  /** Begins a life of the actor. */
  readonly launch: (restarts: number) => Incarnation;
  readonly supervision: Supervision;
  readonly mailboxCapacity: number;
  /** How long a cancelled handler, or a stop, may take before the actor is ended from outside. */
  readonly graceMs: number;
  readonly logger: Logger;
  readonly find: (name: string) => Courier | undefined;
  readonly onDeadLetter: (actor: string, method: string) => void;
  readonly onEvent: (event: ActorEvent) => void;
  readonly onEscalate: (error: CxmindError) => void;
}

/** The system's side of one actor through all its lives: its mailbox, its open asks, its supervision. */
export class Cell implements Courier {
  readonly name: string;
  readonly #options: CellOptions;
  readonly #mailbox: Mailbox<AskLetter | TellLetter>;
  readonly #crashTimes: number[] = [];
  readonly #gone = Promise.withResolvers<undefined>();
  #status: ActorStatus = 'starting';
  #incarnation: Incarnation | undefined;
  #lastWords: CxmindError | undefined;
  #onReady: (() => void) | undefined;
  #restarts = 0;
  #nextId = 0;
  #restartTimer: NodeJS.Timeout | undefined;
  #graceTimer: NodeJS.Timeout | undefined;
  /** The head that `#graceTimer` runs for. */
  #watched: AskLetter | undefined;

  constructor(options: CellOptions) {
    this.name = options.name;
    this.#options = options;
    this.#mailbox = new Mailbox(options.mailboxCapacity, (letter) => {
      if (letter.kind === 'tell') letter.onTaken();
      if (this.#status === 'running') this.#send(letter);
    });
  }

  get status(): ActorStatus {
    return this.#status;
  }

  get pending(): number {
    return this.#mailbox.size;
  }

  /** Begins the first life. A failure to start is not retried: it rejects with what went wrong. */
  async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.#onReady = () => resolve(undefined);
    void this.#gone.promise.then(() => reject(this.#lastWords ?? stoppedError(this.name)));
    this.#live();
    await promise;
  }

  ask(method: string, body: Body, options: AskOptions): Promise<Body> {
    if (options.signal?.aborted === true) {
      return Promise.reject(cancelledError(`${this.name}.${method}`, options.signal.reason));
    }
    if (!this.#isOpen()) return Promise.reject(stoppedError(this.name, this.#lastWords));
    const letter = new AskLetter({
      id: this.#nextId++,
      actor: this.name,
      method,
      body,
      ask: options,
      onGiveUp: (given, error) => this.#giveUp(given, error),
    });
    this.#mailbox.put(letter);
    return letter.reply;
  }

  tell(method: string, body: Body): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#isOpen()) {
        this.#options.onDeadLetter(this.name, method);
        resolve();
        return;
      }
      const id = this.#nextId++;
      this.#mailbox.put({ kind: 'tell', id, method, body, onTaken: resolve, isSent: false });
    });
  }

  /** Ends the actor in order, or from outside when that takes longer than the grace; resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#status !== 'stopped' && this.#status !== 'stopping') {
      this.#status = 'stopping';
      clearTimeout(this.#restartTimer);
      clearTimeout(this.#graceTimer);
      const incarnation = this.#incarnation;
      if (incarnation === undefined) {
        this.#retire();
      } else {
        post(incarnation.channel, { kind: 'stop' });
        this.#graceTimer = setTimeout(() => {
          this.#options.logger.warn({ actor: this.name }, 'actor did not stop in time');
          incarnation.terminate();
        }, this.#options.graceMs);
      }
    }
    await this.#gone.promise;
  }

  #isOpen(): boolean {
    return this.#status !== 'stopping' && this.#status !== 'stopped';
  }

  #live(): void {
    const incarnation = this.#options.launch(this.#restarts);
    const relay = new Relay(incarnation.channel, this.#options.find);
    this.#incarnation = incarnation;
    incarnation.channel.receive((packet) => this.#take(packet, relay));
    void incarnation.ended.then((reason) => {
      relay.close();
      this.#incarnation = undefined;
      this.#onEnded(this.#lastWords ?? reason);
    });
  }

  #take(packet: Packet, relay: Relay): void {
    const opened = open(packet);
    if (E.isLeft(opened)) {
      this.#options.logger.error(
        { actor: this.name, error: toWireError(opened.left) },
        'bad packet',
      );
      return;
    }
    const { envelope, body } = opened.right;
    switch (envelope.kind) {
      case 'ask':
      case 'tell':
      case 'cancel':
        relay.handle(envelope, body);
        return;
      case 'reply':
        this.#settle(envelope.id, E.right(body));
        return;
      case 'refusal':
        this.#settle(envelope.id, E.left(fromWireError(envelope.error)));
        return;
      case 'done':
        this.#takeCredits(envelope.id);
        return;
      case 'ready':
        this.#run();
        return;
      case 'crashed':
        this.#lastWords = fromWireError(envelope.error);
        return;
      case 'log':
        this.#log(envelope, body);
        return;
      case 'stop':
      case 'stopped':
        return;
    }
  }

  #run(): void {
    if (this.#status === 'stopping') return;
    this.#status = 'running';
    this.#lastWords = undefined;
    const kind = this.#restarts === 0 ? 'started' : 'restarted';
    for (const letter of this.#mailbox.accepted()) this.#send(letter);
    this.#onReady?.();
    this.#notify(kind);
  }

  #send(letter: AskLetter | TellLetter): void {
    const { kind, id, method, body } = letter;
    const channel = this.#incarnation!.channel;
    letter.isSent = true;
    if (kind === 'tell') {
      post(channel, { kind, id, to: this.name, method }, body);
    } else {
      const timeoutMs = Math.max(0, letter.deadline - Date.now());
      post(channel, { kind, id, to: this.name, method, timeoutMs }, body);
    }
  }

  #settle(id: number, outcome: E.Either<CxmindError, Body>): void {
    const letter = this.#mailbox.release(id);
    if (letter?.kind === 'ask' && !letter.isSettled) {
      if (E.isRight(outcome)) letter.resolve(outcome.right);
      else letter.reject(outcome.left);
    }
    this.#watchHead();
  }

  #takeCredits(upTo: number): void {
    for (let head = this.#mailbox.head; head?.kind === 'tell' && head.id <= upTo;) {
      this.#mailbox.release(head.id);
      head = this.#mailbox.head;
    }
    this.#watchHead();
  }

  /** The caller stops waiting at once; the letter keeps its place until the actor let go of it. */
  #giveUp(letter: AskLetter, error: CxmindError): void {
    letter.reject(error);
    if (letter.isSent && this.#incarnation !== undefined) {
      const reason = toWireError(error);
      post(this.#incarnation.channel, { kind: 'cancel', id: letter.id, reason });
      this.#watchHead();
    } else {
      this.#mailbox.release(letter.id);
    }
  }

  /** Gives a handler whose caller gave up a while to notice; only the head is judged, the rest wait behind it. */
  #watchHead(): void {
    const head = this.#mailbox.head;
    if (!this.#isOpen() || head === this.#watched) return;
    clearTimeout(this.#graceTimer);
    this.#watched = undefined;
    if (head?.kind !== 'ask' || !head.isSettled) return;
    const { graceMs } = this.#options;
    const where = `${this.name}.${head.method}`;
    this.#watched = head;
    this.#graceTimer = afterTurn(graceMs, () => {
      if (!this.#isOpen() || this.#mailbox.head !== head) return;
      this.#lastWords = new CxmindError(
        'ACTOR_TIMEOUT',
        `${where} went on for ${graceMs} ms after it was cancelled`,
      );
      this.#incarnation?.terminate();
    });
  }

  #onEnded(reason: CxmindError): void {
    clearTimeout(this.#graceTimer);
    this.#watched = undefined;
    if (this.#status === 'stopping') {
      this.#retire();
      return;
    }
    const error = new CxmindError('ACTOR_CRASHED', `${this.name} crashed: ${reason.message}`, {
      detail: { actor: this.name },
      cause: reason,
    });
    this.#notify('crashed', error);
    if (this.#status === 'starting') {
      this.#lastWords = reason;
      this.#retire(error);
      return;
    }
    this.#status = 'restarting';
    for (const letter of [...this.#mailbox.accepted()]) {
      if (letter.isSent) this.#drop(letter, error);
    }
    this.#crashTimes.push(performance.now());
    const verdict = verdictOn(this.#options.supervision, this.#crashTimes);
    if (verdict.kind === 'restart') {
      this.#restartTimer = setTimeout(() => {
        this.#restarts++;
        this.#live();
      }, verdict.afterMs);
      return;
    }
    this.#lastWords = error;
    this.#retire(error);
    if (verdict.kind === 'escalate') this.#options.onEscalate(error);
  }

  #drop(letter: AskLetter | TellLetter, error: CxmindError): void {
    this.#mailbox.release(letter.id);
    if (letter.kind === 'tell') this.#options.onDeadLetter(this.name, letter.method);
    else if (!letter.isSettled) letter.reject(error);
  }

  /** The last thing that happens to a cell: nobody runs, nobody waits. */
  #retire(error?: CxmindError): void {
    this.#status = 'stopped';
    for (const letter of this.#mailbox.clear()) {
      if (letter.kind === 'ask') {
        if (!letter.isSettled) letter.reject(error ?? stoppedError(this.name));
      } else {
        letter.onTaken();
        this.#options.onDeadLetter(this.name, letter.method);
      }
    }
    this.#notify('stopped', error);
    this.#gone.resolve(undefined);
  }

  #notify(kind: ActorEvent['kind'], error?: CxmindError): void {
    const restarts = this.#restarts;
    this.#options.onEvent({
      kind,
      name: this.name,
      restarts,
      ...(error === undefined ? {} : { error }),
    });
  }

  #log({ level, event }: EnvelopeOf<'log'>, body: Body): void {
    const fields = valueOf(body);
    this.#options.logger[level]({ actor: this.name, ...(fields as object) }, event);
  }
}

import * as E from 'fp-ts/lib/Either.js';
import { asCxmindError, CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Body } from '../../transport/frame.ts';
import { Deadlines } from './deadlines.ts';
import { post, type EnvelopeOf } from './envelope.ts';
import type { Incarnation } from './incarnation.ts';
import { afterTurn, OutgoingAsk, type OutgoingTell } from './outgoing-ask.ts';
import { Mailbox } from './mailbox.ts';
import { stoppedError, type AskOptions, type StreamOptions } from './ref.ts';
import { defaultWindow, StreamInbox } from './stream.ts';
import { cancelledError } from './uplink.ts';

type Outgoing = OutgoingAsk | OutgoingTell;

/** The life that messages are sent to. */
type Connection = Pick<Incarnation, 'channel' | 'urgent'>;

type Answer = EnvelopeOf<'item'> | EnvelopeOf<'reply'> | EnvelopeOf<'refusal'> | EnvelopeOf<'done'>;

export interface PendingAsksOptions {
  /** The actor's address. */
  readonly name: string;
  readonly capacity: number;
  /** How long a handler may go on after its caller gave up. */
  readonly graceMs: number;
  readonly onDeadLetter: (method: string) => void;
  /** A handler went on for longer than that. */
  readonly onOverdue: (error: CxmindError) => void;
}

/** The messages to one actor through all its lives: what waits for room, what it has, who still waits for a reply. */
export class PendingAsks {
  readonly #options: PendingAsksOptions;
  readonly #mailbox: Mailbox<Outgoing>;
  readonly #deadlines: Deadlines;
  #connection: Connection | undefined;
  /** Why nothing is taken any more. */
  #closed: { readonly reason: CxmindError | undefined } | undefined;
  #nextId = 0;
  #graceTimer: NodeJS.Timeout | undefined;
  /** The head that `#graceTimer` runs for. */
  #watched: OutgoingAsk | undefined;

  constructor(options: PendingAsksOptions) {
    this.#options = options;
    this.#mailbox = new Mailbox(options.capacity, (message) => {
      if (message.kind === 'tell') message.onTaken();
      if (this.#connection !== undefined) this.#send(message, this.#connection);
    });
    this.#deadlines = new Deadlines(
      () => this.#mailbox.entries(),
      (message) => this.#giveUp(message, message.timeoutError()),
    );
  }

  /** Messages not done. */
  get size(): number {
    return this.#mailbox.size;
  }

  // not async, nor Promise.try: either would wrap the message's promise into another, which takes it three turns
  ask(method: string, body: Body, options: AskOptions): Promise<Body> {
    try {
      return this.#put(method, body, options).reply;
    } catch (error) {
      return Promise.reject(asCxmindError(error));
    }
  }

  async *stream(
    method: string,
    body: Body,
    options: StreamOptions,
  ): AsyncGenerator<Body, void, undefined> {
    const window = options.window ?? defaultWindow;
    const items = new StreamInbox(window, (count) => {
      if (this.#connection === undefined) return;
      post(this.#connection.channel, { kind: 'credit', id: message.id, count });
    });
    const message = this.#put(method, body, options, items);
    message.reply.catch(() => undefined);
    try {
      yield* items.read();
    } finally {
      if (!message.isSettled) {
        const where = `${this.#options.name}.${method}`;
        this.#giveUp(message, cancelledError(where, 'its reader left'));
      }
    }
  }

  tell(method: string, body: Body): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed !== undefined) {
        this.#options.onDeadLetter(method);
        resolve();
        return;
      }
      const id = this.#nextId++;
      this.#mailbox.put({ kind: 'tell', id, method, body, onTaken: resolve, isSent: false });
    });
  }

  /** A life takes messages: it gets what waited for it. */
  connect(connection: Connection): void {
    this.#connection = connection;
    for (const message of this.#mailbox.accepted()) this.#send(message, connection);
  }

  /** That life crashed: what it had is lost, what it had not waits for the next. */
  disconnect(error: CxmindError): void {
    this.#connection = undefined;
    this.#unwatch();
    for (const message of [...this.#mailbox.accepted()]) {
      if (!message.isSent) continue;
      this.#release(message.id);
      if (message.kind === 'tell') this.#options.onDeadLetter(message.method);
      else if (!message.isSettled) message.reject(error);
    }
  }

  /** Takes no more messages; those that are here may still be answered. */
  close(reason: CxmindError | undefined): void {
    this.#closed = { reason };
    this.#unwatch();
  }

  /** Nobody will answer any more. */
  abandon(error: CxmindError | undefined): void {
    this.close(error);
    this.#deadlines.end();
    this.#connection = undefined;
    for (const message of this.#mailbox.clear()) {
      if (message.kind === 'ask') {
        if (!message.isSettled) message.reject(error ?? stoppedError(this.#options.name));
      } else {
        message.onTaken();
        this.#options.onDeadLetter(message.method);
      }
    }
  }

  /** Takes an answer of the actor, or credits that it gives back. */
  take(envelope: Answer, body: Body): void {
    switch (envelope.kind) {
      case 'item':
        this.#itemsOf(envelope.id)?.push(body);
        return;
      case 'done':
        this.#takeCredits(envelope.id);
        break;
      case 'reply':
        this.#settle(envelope.id, E.right(body));
        break;
      case 'refusal':
        this.#settle(envelope.id, E.left(fromWireError(envelope.error)));
        break;
    }
    this.#watchHead();
  }

  /** @throws RUNTIME_CANCELLED, ACTOR_STOPPED */
  #put(method: string, body: Body, options: AskOptions, items?: StreamInbox): OutgoingAsk {
    const { name } = this.#options;
    if (options.signal?.aborted === true) {
      throw cancelledError(`${name}.${method}`, options.signal.reason);
    }
    if (this.#closed !== undefined) throw stoppedError(name, this.#closed.reason);
    const message = new OutgoingAsk({
      id: this.#nextId++,
      actor: name,
      method,
      body,
      ask: options,
      ...(items !== undefined && { items }),
      onCancel: (given, error) => this.#giveUp(given, error),
    });
    this.#deadlines.add(message);
    this.#mailbox.put(message);
    return message;
  }

  #send(message: Outgoing, { channel }: Connection): void {
    const { id, method, body } = message;
    const to = this.#options.name;
    message.isSent = true;
    if (message.kind === 'tell') {
      post(channel, { kind: 'tell', id, to, method }, body);
      return;
    }
    const timeoutMs = Math.max(0, message.deadline - Date.now());
    if (message.items === undefined) {
      post(channel, { kind: 'ask', id, to, method, timeoutMs }, body);
    } else {
      const { window } = message.items;
      post(channel, { kind: 'stream', id, to, method, timeoutMs, window }, body);
    }
  }

  #settle(id: number, outcome: E.Either<CxmindError, Body>): void {
    const message = this.#release(id);
    if (message?.kind !== 'ask' || message.isSettled) return;
    if (E.isRight(outcome)) message.resolve(outcome.right);
    else message.reject(outcome.left);
  }

  #itemsOf(id: number): StreamInbox | undefined {
    const message = this.#mailbox.get(id);
    return message?.kind === 'ask' ? message.items : undefined;
  }

  #takeCredits(upTo: number): void {
    for (let head = this.#mailbox.head; head?.kind === 'tell' && head.id <= upTo;) {
      this.#release(head.id);
      head = this.#mailbox.head;
    }
  }

  /** The caller stops waiting at once; the message keeps its place until the actor let go of it. */
  #giveUp(message: OutgoingAsk, error: CxmindError): void {
    message.reject(error);
    if (message.isSent && this.#connection !== undefined) {
      post(this.#connection.urgent, { kind: 'cancel', id: message.id, reason: toWireError(error) });
      this.#watchHead();
    } else {
      this.#release(message.id);
    }
  }

  #release(id: number): Outgoing | undefined {
    const message = this.#mailbox.release(id);
    if (this.#mailbox.size === 0) this.#deadlines.rest();
    return message;
  }

  /** Gives a handler whose caller gave up a while to notice; only the head is judged, the rest wait behind it. */
  #watchHead(): void {
    const head = this.#mailbox.head;
    if (this.#closed !== undefined || head === this.#watched) return;
    this.#unwatch();
    if (head?.kind !== 'ask' || !head.isSettled) return;
    const { name, graceMs, onOverdue } = this.#options;
    this.#watched = head;
    this.#graceTimer = afterTurn(graceMs, () => {
      if (this.#watched !== head) return;
      const where = `${name}.${head.method}`;
      onOverdue(
        new CxmindError(
          'ACTOR_TIMEOUT',
          `${where} went on for ${graceMs} ms after it was cancelled`,
        ),
      );
    });
  }

  #unwatch(): void {
    clearTimeout(this.#graceTimer);
    this.#watched = undefined;
  }
}

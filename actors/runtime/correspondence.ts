import * as E from 'fp-ts/lib/Either.js';
import { asCxmindError, CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Body } from '../../transport/frame.ts';
import { Deadlines } from './deadlines.ts';
import { post, type EnvelopeOf } from './envelope.ts';
import type { Incarnation } from './incarnation.ts';
import { afterTurn, AskLetter, type TellLetter } from './letter.ts';
import { Mailbox } from './mailbox.ts';
import { stoppedError, type AskOptions, type StreamOptions } from './ref.ts';
import { defaultWindow, StreamInbox } from './stream.ts';
import { cancelledError } from './uplink.ts';

type Letter = AskLetter | TellLetter;

/** The life that letters are sent to. */
type Life = Pick<Incarnation, 'channel' | 'urgent'>;

type Answer = EnvelopeOf<'item'> | EnvelopeOf<'reply'> | EnvelopeOf<'refusal'> | EnvelopeOf<'done'>;

export interface CorrespondenceOptions {
  /** The actor's address. */
  readonly name: string;
  readonly capacity: number;
  /** How long a handler may go on after its caller gave up. */
  readonly graceMs: number;
  readonly onDeadLetter: (method: string) => void;
  /** A handler went on for longer than that. */
  readonly onOverdue: (error: CxmindError) => void;
}

/** The letters to one actor through all its lives: what waits for room, what it has, who still waits for a reply. */
export class Correspondence {
  readonly #options: CorrespondenceOptions;
  readonly #mailbox: Mailbox<Letter>;
  readonly #deadlines: Deadlines;
  #life: Life | undefined;
  /** Why nothing is taken any more. */
  #closed: { readonly reason: CxmindError | undefined } | undefined;
  #nextId = 0;
  #graceTimer: NodeJS.Timeout | undefined;
  /** The head that `#graceTimer` runs for. */
  #watched: AskLetter | undefined;

  constructor(options: CorrespondenceOptions) {
    this.#options = options;
    this.#mailbox = new Mailbox(options.capacity, (letter) => {
      if (letter.kind === 'tell') letter.onTaken();
      if (this.#life !== undefined) this.#send(letter, this.#life);
    });
    this.#deadlines = new Deadlines(
      () => this.#mailbox.letters(),
      (letter) => this.#giveUp(letter, letter.timeoutError()),
    );
  }

  /** Letters not done. */
  get size(): number {
    return this.#mailbox.size;
  }

  // not async, nor Promise.try: either would wrap the letter's promise into another, which takes it three turns
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
      if (this.#life === undefined) return;
      post(this.#life.channel, { kind: 'credit', id: letter.id, count });
    });
    const letter = this.#put(method, body, options, items);
    letter.reply.catch(() => undefined);
    try {
      yield* items.read();
    } finally {
      if (!letter.isSettled) {
        const where = `${this.#options.name}.${method}`;
        this.#giveUp(letter, cancelledError(where, 'its reader left'));
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
  connect(life: Life): void {
    this.#life = life;
    for (const letter of this.#mailbox.accepted()) this.#send(letter, life);
  }

  /** That life crashed: what it had is lost, what it had not waits for the next. */
  disconnect(error: CxmindError): void {
    this.#life = undefined;
    this.#unwatch();
    for (const letter of [...this.#mailbox.accepted()]) {
      if (!letter.isSent) continue;
      this.#release(letter.id);
      if (letter.kind === 'tell') this.#options.onDeadLetter(letter.method);
      else if (!letter.isSettled) letter.reject(error);
    }
  }

  /** Takes no more letters; those that are here may still be answered. */
  close(reason: CxmindError | undefined): void {
    this.#closed = { reason };
    this.#unwatch();
  }

  /** Nobody will answer any more. */
  abandon(error: CxmindError | undefined): void {
    this.close(error);
    this.#deadlines.end();
    this.#life = undefined;
    for (const letter of this.#mailbox.clear()) {
      if (letter.kind === 'ask') {
        if (!letter.isSettled) letter.reject(error ?? stoppedError(this.#options.name));
      } else {
        letter.onTaken();
        this.#options.onDeadLetter(letter.method);
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
  #put(method: string, body: Body, options: AskOptions, items?: StreamInbox): AskLetter {
    const { name } = this.#options;
    if (options.signal?.aborted === true) {
      throw cancelledError(`${name}.${method}`, options.signal.reason);
    }
    if (this.#closed !== undefined) throw stoppedError(name, this.#closed.reason);
    const letter = new AskLetter({
      id: this.#nextId++,
      actor: name,
      method,
      body,
      ask: options,
      ...(items !== undefined && { items }),
      onCancel: (given, error) => this.#giveUp(given, error),
    });
    this.#deadlines.add(letter);
    this.#mailbox.put(letter);
    return letter;
  }

  #send(letter: Letter, { channel }: Life): void {
    const { id, method, body } = letter;
    const to = this.#options.name;
    letter.isSent = true;
    if (letter.kind === 'tell') {
      post(channel, { kind: 'tell', id, to, method }, body);
      return;
    }
    const timeoutMs = Math.max(0, letter.deadline - Date.now());
    if (letter.items === undefined) {
      post(channel, { kind: 'ask', id, to, method, timeoutMs }, body);
    } else {
      const { window } = letter.items;
      post(channel, { kind: 'stream', id, to, method, timeoutMs, window }, body);
    }
  }

  #settle(id: number, outcome: E.Either<CxmindError, Body>): void {
    const letter = this.#release(id);
    if (letter?.kind !== 'ask' || letter.isSettled) return;
    if (E.isRight(outcome)) letter.resolve(outcome.right);
    else letter.reject(outcome.left);
  }

  #itemsOf(id: number): StreamInbox | undefined {
    const letter = this.#mailbox.get(id);
    return letter?.kind === 'ask' ? letter.items : undefined;
  }

  #takeCredits(upTo: number): void {
    for (let head = this.#mailbox.head; head?.kind === 'tell' && head.id <= upTo;) {
      this.#release(head.id);
      head = this.#mailbox.head;
    }
  }

  /** The caller stops waiting at once; the letter keeps its place until the actor let go of it. */
  #giveUp(letter: AskLetter, error: CxmindError): void {
    letter.reject(error);
    if (letter.isSent && this.#life !== undefined) {
      post(this.#life.urgent, { kind: 'cancel', id: letter.id, reason: toWireError(error) });
      this.#watchHead();
    } else {
      this.#release(letter.id);
    }
  }

  #release(id: number): Letter | undefined {
    const letter = this.#mailbox.release(id);
    if (this.#mailbox.size === 0) this.#deadlines.rest();
    return letter;
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

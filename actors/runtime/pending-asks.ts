import { asCxmindError, CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Body } from '../../transport/frame.ts';
import { Outbox, type EnvelopeOf } from './envelope.ts';
import type { Incarnation } from './incarnation.ts';
import { Mailbox } from './mailbox.ts';
import { afterTurn, Deadlines, OutgoingAsk, type Outgoing } from './outgoing-ask.ts';
import { cancelledError, stoppedError, type AskOptions, type StreamOptions } from './ref.ts';
import { defaultWindow, StreamInbox } from './stream.ts';
import type { WorkWatch } from './work.ts';

/** Ways to the incarnation that takes messages now. */
interface Connection {
  readonly messages: Outbox;
  readonly urgent: Outbox;
}

type Answer = EnvelopeOf<'item' | 'reply' | 'refusal' | 'done'>;

interface PendingAsksOptions {
  /** Name of the actor. */
  readonly name: string;
  /** Capacity of its mailbox. */
  readonly capacity: number;
  /** Time for which a handler may go on after its caller gave up. */
  readonly graceMs: number;
  readonly work: WorkWatch;
  readonly onDeadLetter: (method: string) => void;
  /** Called when a handler went on for longer than `graceMs`. */
  readonly onOverdue: (error: CxmindError) => void;
}

/**
 * Asks and tells to one actor that are not done, through all its incarnations.
 *
 * A message waits in the mailbox for room, is sent to the incarnation that runs, and is released when that is done
 * with it. A message that no incarnation got yet survives a crash; one that was sent does not.
 */
export class PendingAsks {
  readonly #options: PendingAsksOptions;
  readonly #mailbox: Mailbox<Outgoing>;
  readonly #deadlines: Deadlines;
  #connection: Connection | undefined;
  /** Set once no more messages are taken. */
  #closed: { readonly reason: CxmindError | undefined } | undefined;
  #nextId = 0;
  /** Time since which the actor works on the head, or waits for a message; 0 where nobody watches. */
  #workingSinceMs = 0;
  #graceTimer: NodeJS.Timeout | undefined;
  /** The head that `#graceTimer` runs for. */
  #watched: OutgoingAsk | undefined;

  constructor(options: PendingAsksOptions) {
    this.#options = options;
    this.#mailbox = new Mailbox(options.capacity, (accepted) => {
      if (accepted.kind === 'tell') accepted.onTaken();
      if (this.#connection !== undefined) this.#send(accepted, this.#connection);
    });
    this.#deadlines = new Deadlines(
      () => this.#mailbox.entries(),
      (ask) => this.#giveUp(ask, ask.timeoutError()),
    );
  }

  /** Number of messages that are not done. */
  get size(): number {
    return this.#mailbox.size;
  }

  /** The method that the actor works on, null where it waits for a message, and since when. */
  get working(): { readonly method: string | null; readonly sinceMs: number } {
    const { head } = this.#mailbox;
    if (head?.isSent !== true) return { method: null, sinceMs: this.#workingSinceMs };
    return { method: head.method, sinceMs: Math.max(this.#workingSinceMs, head.sentMs) };
  }

  // Neither async nor Promise.try: both would wrap the reply into another promise, which costs three turns.
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
      this.#connection?.messages.post({ kind: 'credit', id: ask.id, count });
    });
    const ask = this.#put(method, body, options, items);
    // The inbox throws the error to the reader.
    ask.reply.catch(() => undefined);
    try {
      yield* items.read();
    } finally {
      if (!ask.isSettled) {
        this.#giveUp(ask, cancelledError(`${this.#options.name}.${method}`, 'its reader left'));
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
      const sentMs = this.#options.work.now();
      this.#mailbox.put({
        kind: 'tell',
        id,
        method,
        body,
        sentMs,
        onTaken: resolve,
        isSent: false,
      });
    });
  }

  /** Begins to send to an incarnation, which gets the messages that waited for it. */
  connect({ channel, urgent }: Incarnation): void {
    const connection = { messages: new Outbox(channel), urgent: new Outbox(urgent) };
    this.#connection = connection;
    this.#workingSinceMs = this.#options.work.now();
    for (const accepted of this.#mailbox.accepted()) this.#send(accepted, connection);
  }

  /** Fails the messages that the crashed incarnation had. Those it did not get wait for the next one. */
  disconnect(error: CxmindError): void {
    this.#connection = undefined;
    this.#unwatch();
    for (const accepted of [...this.#mailbox.accepted()]) {
      if (!accepted.isSent) continue;
      this.#release(accepted.id, true);
      if (accepted.kind === 'tell') this.#options.onDeadLetter(accepted.method);
      else if (!accepted.isSettled) accepted.reject(error);
    }
  }

  /** Refuses further messages. Those that are here may still be replied to. */
  close(reason: CxmindError | undefined): void {
    this.#closed = { reason };
    this.#unwatch();
  }

  /** Fails everything that is here, since nobody will reply. */
  abandon(error: CxmindError | undefined): void {
    this.close(error);
    this.#deadlines.end();
    this.#connection = undefined;
    for (const left of this.#mailbox.clear()) {
      if (left.kind === 'ask') {
        if (!left.isSettled) left.reject(error ?? stoppedError(this.#options.name));
      } else {
        left.onTaken();
        this.#options.onDeadLetter(left.method);
      }
    }
  }

  /** Takes a reply, an item, or credits that the actor gives back. */
  take(envelope: Answer, body: Body): void {
    switch (envelope.kind) {
      case 'item':
        this.#itemsOf(envelope.id)?.push(body);
        return;
      case 'done':
        this.#takeCredits(envelope.id);
        break;
      case 'reply':
        this.#releaseAsk(envelope.id)?.resolve(body);
        break;
      case 'refusal':
        this.#releaseAsk(envelope.id, true)?.reject(fromWireError(envelope.error));
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
    const ask = new OutgoingAsk({
      id: this.#nextId++,
      actor: name,
      ...{ method, body, sentMs: this.#options.work.now() },
      ask: options,
      ...(items !== undefined && { items }),
      onCancel: (given, error) => this.#giveUp(given, error),
    });
    this.#deadlines.add(ask);
    this.#mailbox.put(ask);
    return ask;
  }

  #send(message: Outgoing, { messages }: Connection): void {
    const { id, method, body } = message;
    const to = this.#options.name;
    message.isSent = true;
    if (message.kind === 'tell') {
      messages.post({ kind: 'tell', id, to, method }, body);
      return;
    }
    const timeoutMs = Math.max(0, message.deadline - Date.now());
    if (message.items === undefined) {
      messages.post({ kind: 'ask', id, to, method, timeoutMs }, body);
    } else {
      const { window } = message.items;
      messages.post({ kind: 'stream', id, to, method, timeoutMs, window }, body);
    }
  }

  #itemsOf(id: number): StreamInbox | undefined {
    const accepted = this.#mailbox.get(id);
    return accepted?.kind === 'ask' ? accepted.items : undefined;
  }

  /** Releases the tells at the head, up to an id. Asks are released by their replies. */
  #takeCredits(upTo: number): void {
    for (let head = this.#mailbox.head; head?.kind === 'tell' && head.id <= upTo;) {
      this.#release(head.id);
      head = this.#mailbox.head;
    }
  }

  /** Settles an ask at once. It keeps its room in the mailbox until the actor lets go of it. */
  #giveUp(ask: OutgoingAsk, error: CxmindError): void {
    ask.reject(error);
    if (ask.isSent && this.#connection !== undefined) {
      this.#connection.urgent.post({ kind: 'cancel', id: ask.id, reason: toWireError(error) });
      this.#watchHead();
    } else {
      this.#release(ask.id);
    }
  }

  /** Releases an ask; undefined if its caller gave up before. */
  #releaseAsk(id: number, isFailed = false): OutgoingAsk | undefined {
    const released = this.#release(id, isFailed);
    return released?.kind === 'ask' && !released.isSettled ? released : undefined;
  }

  #release(id: number, isFailed = false): Outgoing | undefined {
    if (this.#options.work.isOn) this.#tellWork(id, isFailed);
    const released = this.#mailbox.release(id);
    if (this.#mailbox.size === 0) this.#deadlines.rest();
    return released;
  }

  /** Tells of the work on the head, if it is that message. Messages behind it were given up before the actor had them. */
  #tellWork(id: number, isFailed: boolean): void {
    const { head } = this.#mailbox;
    if (head?.id !== id || !head.isSent) return;
    const { name: actor, work } = this.#options;
    const { method, sentMs } = head;
    const startedMs = Math.max(this.#workingSinceMs, sentMs);
    const endedMs = work.now();
    const wasGivenUp = head.kind === 'ask' && head.isSettled;
    work.tell({ actor, method, sentMs, startedMs, endedMs, isFailed: isFailed || wasGivenUp });
    this.#workingSinceMs = endedMs;
  }

  /** Gives a handler whose caller gave up some time to end. Only the head is judged, since the others wait behind it. */
  #watchHead(): void {
    const head = this.#mailbox.head;
    if (this.#closed !== undefined || head === this.#watched) return;
    this.#unwatch();
    if (head?.kind !== 'ask' || !head.isSettled) return;
    const { name, graceMs, onOverdue } = this.#options;
    this.#watched = head;
    this.#graceTimer = afterTurn(graceMs, () => {
      if (this.#watched !== head) return;
      const what = `${name}.${head.method} went on for ${graceMs} ms after it was cancelled`;
      onOverdue(new CxmindError('ACTOR_TIMEOUT', what));
    });
  }

  #unwatch(): void {
    clearTimeout(this.#graceTimer);
    this.#watched = undefined;
  }
}

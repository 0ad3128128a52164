/** Messages that were sent to an actor and are not done, and the timer of their deadlines. */
import { addAbortListener } from 'node:events';
import { CxmindError } from '../../src/errors.ts';
import type { Body } from '../../transport/frame.ts';
import { cancelledError, type AskOptions } from './ref.ts';
import type { StreamInbox } from './stream.ts';

/** Longest delay of a timer, 24 days. Longer deadlines are cut to it. */
const maxTimerMs = 2 ** 31 - 1;

interface OutgoingAskOptions {
  readonly id: number;
  /** Name of the actor. */
  readonly actor: string;
  readonly method: string;
  readonly body: Body;
  readonly sentMs: number;
  readonly ask: AskOptions;
  readonly items?: StreamInbox;
  /** Called with the error to give, when the signal is aborted before the ask is settled. */
  readonly onCancel: (ask: OutgoingAsk, error: CxmindError) => void;
}

/** An ask, or a stream, that is not done. It is settled once: by a reply, an error, its signal or its deadline. */
export class OutgoingAsk {
  readonly kind = 'ask';
  readonly id: number;
  /** Name of the actor. */
  readonly actor: string;
  readonly method: string;
  readonly body: Body;
  /** Time of the call, as `performance.now()` gives it; 0 where nobody watches the work of actors. */
  readonly sentMs: number;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  readonly reply: Promise<Body>;
  /** Inbox for the items of a stream. */
  readonly items: StreamInbox | undefined;
  isSent = false;
  readonly #timeoutMs: number;
  readonly #settlers: PromiseWithResolvers<Body>;
  readonly #abortListener: Disposable | undefined;
  #isSettled = false;

  constructor({ id, actor, method, body, sentMs, ask, items, onCancel }: OutgoingAskOptions) {
    const { timeoutMs, signal } = ask;
    this.id = id;
    this.method = method;
    this.body = body;
    this.sentMs = sentMs;
    this.deadline = Date.now() + timeoutMs;
    this.items = items;
    this.actor = actor;
    this.#timeoutMs = timeoutMs;
    this.#settlers = Promise.withResolvers<Body>();
    this.reply = this.#settlers.promise;
    if (signal === undefined) return;
    this.#abortListener = addAbortListener(signal, () => {
      if (!this.#isSettled) onCancel(this, cancelledError(`${actor}.${method}`, signal.reason));
    });
  }

  /** True once the caller waits no more. The actor may still be working on a settled ask. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  resolve(reply: Body): void {
    this.#settle();
    this.items?.end();
    this.#settlers.resolve(reply);
  }

  reject(error: CxmindError): void {
    this.#settle();
    this.items?.end(error);
    this.#settlers.reject(error);
  }

  /** Makes the error of a caller that waited until the deadline. */
  timeoutError(): CxmindError {
    const [where, timeoutMs] = [`${this.actor}.${this.method}`, this.#timeoutMs];
    return new CxmindError('ACTOR_TIMEOUT', `${where} did not reply within ${timeoutMs} ms`, {
      detail: { timeoutMs },
    });
  }

  #settle(): void {
    this.#isSettled = true;
    this.#abortListener?.[Symbol.dispose]();
  }
}

/** A tell that is not done. */
interface OutgoingTell {
  readonly kind: 'tell';
  readonly id: number;
  readonly method: string;
  readonly body: Body;
  readonly sentMs: number;
  /** Lets its sender go on: the mailbox took it, or it became a dead letter. */
  readonly onTaken: () => void;
  isSent: boolean;
}

/** An ask, a stream or a tell that is not done. */
export type Outgoing = OutgoingAsk | OutgoingTell;

/**
 * One timer for the deadlines of all asks to an actor.
 *
 * The timer is set to the first deadline of the asks that were open then. Nearly all asks are replied to earlier, and
 * cost it nothing.
 */
export class Deadlines {
  readonly #outgoing: () => Iterable<Outgoing>;
  readonly #onDue: (ask: OutgoingAsk) => void;
  #timer: NodeJS.Timeout | undefined;
  #ringsAt = Infinity;

  /**
   * @param outgoing all messages that are not done
   * @param onDue    called with each unsettled ask whose deadline has passed
   */
  constructor(outgoing: () => Iterable<Outgoing>, onDue: (ask: OutgoingAsk) => void) {
    this.#outgoing = outgoing;
    this.#onDue = onDue;
  }

  add({ deadline }: OutgoingAsk): void {
    if (deadline < this.#ringsAt) this.#set(deadline);
    else this.#timer?.ref();
  }

  /** Lets the timer keep no process alive, since no ask is left. */
  rest(): void {
    this.#timer?.unref();
  }

  /** Clears the timer, since no ask will come. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #set(ringsAt: number): void {
    clearTimeout(this.#timer);
    this.#ringsAt = ringsAt;
    this.#timer = afterTurn(ringsAt - Date.now(), () => this.#ring());
  }

  #ring(): void {
    const now = Date.now();
    let next = Infinity;
    const due: OutgoingAsk[] = [];
    for (const each of this.#outgoing()) {
      if (each.kind !== 'ask' || each.isSettled) continue;
      if (each.deadline <= now) due.push(each);
      else next = Math.min(next, each.deadline);
    }
    this.#timer = undefined;
    this.#ringsAt = Infinity;
    if (next < Infinity) this.#set(next);
    due.sort((a, b) => a.deadline - b.deadline);
    for (const ask of due) if (!ask.isSettled) this.#onDue(ask);
  }
}

/**
 * Calls `then` after a delay and one more turn of the event loop.
 *
 * Packets that have already come are taken in that turn, so time for which this thread itself was busy is not held
 * against the peer.
 */
export function afterTurn(delayMs: number, then: () => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(then), Math.min(delayMs, maxTimerMs));
}

import { CxmindError } from '../../src/errors.ts';
import type { Body } from '../../transport/frame.ts';
import type { AskOptions } from './ref.ts';
import type { StreamInbox } from './stream.ts';
import { cancelledError } from './uplink.ts';

/** The longest a timer can wait, 24 days; longer deadlines are cut to it. */
const maxTimerMs = 2 ** 31 - 1;

/** A message that wants a reply: settled once, by the reply, an error, its signal or its deadline, which others watch. */
export class OutgoingAsk {
  readonly kind = 'ask';
  readonly id: number;
  readonly method: string;
  readonly body: Body;
  /** In milliseconds since the epoch. */
  readonly deadline: number;
  readonly reply: Promise<Body>;
  /** Where the items go, if it is a stream that is asked for. */
  readonly items: StreamInbox | undefined;
  isSent = false;
  readonly #actor: string;
  readonly #timeoutMs: number;
  readonly #settlers: PromiseWithResolvers<Body>;
  readonly #signal: AbortSignal | undefined;
  readonly #cancel: (() => void) | undefined;
  #isSettled = false;

  /** @param options.onCancel called when the signal is aborted before the ask is settled, with the error to give */
  constructor(options: {
    readonly id: number;
    readonly actor: string;
    readonly method: string;
    readonly body: Body;
    readonly ask: AskOptions;
    readonly items?: StreamInbox;
    readonly onCancel: (ask: OutgoingAsk, error: CxmindError) => void;
  }) {
    const { id, method, body, ask, onCancel } = options;
    this.id = id;
    this.#actor = options.actor;
    this.#timeoutMs = ask.timeoutMs;
    this.method = method;
    this.body = body;
    this.items = options.items;
    this.deadline = Date.now() + ask.timeoutMs;
    this.#settlers = Promise.withResolvers<Body>();
    this.reply = this.#settlers.promise;
    const { signal } = ask;
    if (signal === undefined) return;
    this.#signal = signal;
    this.#cancel = () => {
      const where = `${options.actor}.${method}`;
      if (!this.#isSettled) onCancel(this, cancelledError(where, signal.reason));
    };
    signal.addEventListener('abort', this.#cancel, { once: true });
  }

  /** Whether nobody waits any more; a settled ask may still be in the actor's hands. */
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

  /** The error of a caller that waited until the deadline. */
  timeoutError(): CxmindError {
    const [where, timeoutMs] = [`${this.#actor}.${this.method}`, this.#timeoutMs];
    return new CxmindError('ACTOR_TIMEOUT', `${where} did not reply within ${timeoutMs} ms`, {
      detail: { timeoutMs },
    });
  }

  #settle(): void {
    this.#isSettled = true;
    if (this.#cancel !== undefined) this.#signal?.removeEventListener('abort', this.#cancel);
  }
}

/** A message that wants no reply. */
export interface OutgoingTell {
  readonly kind: 'tell';
  readonly id: number;
  readonly method: string;
  readonly body: Body;
  /** The mailbox took it, or it became a dead letter: its sender goes on. */
  readonly onTaken: () => void;
  isSent: boolean;
}

/**
 * Calls `then` after a delay and one more turn of the event loop, in which packets that are there already are
 * taken: time that this thread itself was busy is not held against the peer.
 */
export function afterTurn(delayMs: number, then: () => void): NodeJS.Timeout {
  return setTimeout(() => setImmediate(then), Math.min(delayMs, maxTimerMs));
}

import { Fifo } from './fifo.ts';

interface Sent<M> {
  readonly message: M;
  readonly sizeBytes: number;
}

/** Numbers the messages of one direction, and keeps each until the peer says that it has it. */
export class Outgoing<M> {
  readonly #windowBytes: number;
  readonly #unacked = new Fifo<Sent<M>>();
  #next = 0;
  #acked = 0;
  #inFlightBytes = 0;

  /** @param windowBytes how much may be on its way; the last message may go beyond */
  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
  }

  /** The number of the next message. */
  get next(): number {
    return this.#next;
  }

  get hasRoom(): boolean {
    return this.#inFlightBytes < this.#windowBytes;
  }

  get isIdle(): boolean {
    return this.#unacked.length === 0;
  }

  /** Takes over a message that was given the number `next`. */
  push(message: M, sizeBytes: number): void {
    this.#next++;
    this.#inFlightBytes += sizeBytes;
    this.#unacked.push({ message, sizeBytes });
  }

  /** Forgets what the peer has, all below `next`; false when the peer has what was never sent. */
  acknowledge(next: number): boolean {
    if (next > this.#next) return false;
    for (; this.#acked < next; this.#acked++) {
      this.#inFlightBytes -= this.#unacked.shift()!.sizeBytes;
    }
    return true;
  }

  /** Messages that the peer may not have, oldest first. */
  *unacked(): Generator<M, void> {
    for (const { message } of this.#unacked) yield message;
  }

  clear(): void {
    this.#unacked.clear();
    this.#inFlightBytes = 0;
    this.#acked = this.#next;
  }
}

/** Accepts the numbered messages of one direction once and in order. */
export class Incoming {
  #next = 0;
  #isAsked = false;

  /** The number of the next message to accept; all below it came. */
  get next(): number {
    return this.#next;
  }

  /** What to do with a message: take it, forget it, or forget it and ask for all from `next` on. */
  accept(sequence: number): 'take' | 'drop' | 'ask' {
    if (sequence === this.#next) {
      this.#next++;
      this.#isAsked = false;
      return 'take';
    }
    if (sequence < this.#next || this.#isAsked) return 'drop';
    this.#isAsked = true;
    return 'ask';
  }

  /**
   * Whether messages are missing, now that the peer said on the same connection which number comes next. Asked
   * every time: the last request may be what was lost.
   */
  isBehind(sequence: number): boolean {
    this.#isAsked = sequence > this.#next;
    return this.#isAsked;
  }
}

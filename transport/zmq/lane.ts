import Denque from 'denque';

/** Verdict on a message that came: take it, drop it, or drop it and ask for all from the expected one on. */
export type Verdict = 'take' | 'drop' | 'ask';

interface Sent<M> {
  readonly message: M;
  readonly sizeBytes: number;
}

/**
 * Numbered messages in both directions: go-back-N, the automatic repeat request of textbooks.
 *
 * It deviates in that nothing is sent again by a timer. A ZeroMQ socket drops messages only with a connection, and keeps
 * their order on each. So the receiver sees a gap as soon as anything comes by the next connection, and asks. The last
 * messages before a cut are found missing by heartbeats, which carry the number of the next one.
 */
export class Lane<M> {
  readonly #windowBytes: number;
  readonly #transmit: (message: M) => void;
  readonly #unacked = new Denque<Sent<M>>();
  #next = 0;
  #acked = 0;
  #inFlightBytes = 0;
  #arrived = 0;
  #taken = 0;
  #unreportedBytes = 0;
  #isAsked = false;

  /**
   * @param windowBytes how much may be sent and not acknowledged; the last message may go beyond
   * @param transmit gives a message to the socket
   */
  constructor(windowBytes: number, transmit: (message: M) => void) {
    this.#windowBytes = windowBytes;
    this.#transmit = transmit;
  }

  /** Number of the next outgoing message. */
  get next(): number {
    return this.#next;
  }

  /** True when the window has room for another message. */
  get hasRoom(): boolean {
    return this.#inFlightBytes < this.#windowBytes;
  }

  /** True when the peer has acknowledged every message. */
  get isAcked(): boolean {
    return this.#unacked.length === 0;
  }

  /** Number of the first incoming message that is not done with. The peer may forget all below it. */
  get taken(): number {
    return this.#taken;
  }

  /** True when so much was taken since the last report that the peer may run out of its window. */
  get owesReport(): boolean {
    return this.#unreportedBytes >= this.#windowBytes / 4;
  }

  /** Sends a message that was given the number `next`, and keeps it until the peer has it. */
  send(message: M, sizeBytes: number): void {
    this.#next++;
    this.#inFlightBytes += sizeBytes;
    this.#unacked.push({ message, sizeBytes });
    this.#transmit(message);
  }

  /** Sends again all that the peer may not have. */
  sendAgain(): void {
    for (const { message } of this.#unacked.toArray()) this.#transmit(message);
  }

  /** Forgets all messages below `next`, which the peer has. False when it cannot have them. */
  acknowledge(next: number): boolean {
    if (next > this.#next) return false;
    for (; this.#acked < next; this.#acked++) {
      this.#inFlightBytes -= this.#unacked.shift()!.sizeBytes;
    }
    return true;
  }

  /** Judges a message that came. */
  accept(sequence: number): Verdict {
    if (sequence === this.#arrived) {
      this.#arrived++;
      this.#isAsked = false;
      return 'take';
    }
    if (sequence < this.#arrived || this.#isAsked) return 'drop';
    this.#isAsked = true;
    return 'ask';
  }

  /** Counts the next of the accepted messages as done with. */
  take(sizeBytes: number): void {
    this.#taken++;
    this.#unreportedBytes += sizeBytes;
  }

  /**
   * True when messages are missing, now that the peer said on the same connection which number comes next.
   *
   * It is to be asked for them each time, since the last request may have been lost.
   */
  isBehind(sequence: number): boolean {
    this.#isAsked = sequence > this.#arrived;
    return this.#isAsked;
  }

  /** Notes that a message to the peer reports how far this end is. */
  report(): number {
    this.#unreportedBytes = 0;
    return this.#taken;
  }

  clear(): void {
    this.#unacked.clear();
    this.#inFlightBytes = 0;
    this.#acked = this.#next;
  }
}

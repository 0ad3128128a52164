import type { Channel, Packet } from './channel.ts';

/** One end of a pair of queues on one thread. Packets are delivered in the next turn of the event loop. */
class QueueEnd implements Channel {
  readonly #closed = Promise.withResolvers<undefined>();
  readonly closed: Promise<void> = this.#closed.promise;
  readonly #inbox: Packet[] = [];
  #receiver: ((packet: Packet) => void) | undefined;
  #peer: QueueEnd | undefined;
  #isScheduled = false;
  #isClosed = false;

  static pair(): [QueueEnd, QueueEnd] {
    const [a, b] = [new QueueEnd(), new QueueEnd()];
    a.#peer = b;
    b.#peer = a;
    return [a, b];
  }

  send(packet: Packet): boolean {
    if (this.#isClosed || this.#peer === undefined) return false;
    this.#peer.#accept(packet);
    return true;
  }

  receive(receiver: (packet: Packet) => void): void {
    this.#receiver = receiver;
    this.#schedule();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#end();
    this.#peer!.#schedule();
  }

  #end(): void {
    this.#isClosed = true;
    this.#closed.resolve(undefined);
  }

  #accept(packet: Packet): void {
    this.#inbox.push(packet);
    this.#schedule();
  }

  /** Schedules delivery as a macrotask: two ends that answer each other by microtasks would starve timers. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#receiver !== undefined && !this.#isClosed) {
      for (const packet of this.#inbox.splice(0)) this.#receiver(packet);
    }
    if (this.#isClosed || this.#inbox.length > 0) return;
    if (this.#peer!.#isClosed) this.#end();
  }
}

/** Makes a channel within the calling thread: its two ends. */
export function sameThreadPair(): [Channel, Channel] {
  return QueueEnd.pair();
}

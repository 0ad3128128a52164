import { performance } from 'node:perf_hooks';
import Denque from 'denque';
import { batchBytes, encodeBatch, sizeOfRecord } from './control-message.ts';
import type { OutRecord, Progress } from './control-message.ts';
import { Lane } from './lane.ts';

/** Most bytes of batches that are sent and not acknowledged. */
const windowBytes = 4 << 20;
/** Time after a batch in which further records wait for the end of the turn of the event loop. */
const soonMs = 0.02;

/** A resolved promise: its `then` is a microtask, at a fraction of the cost of `queueMicrotask`. */
const resolved = Promise.resolve();

/** The link, as far as its batches need it. */
export interface BatchSink {
  /** Gives a message to the control socket. */
  transmit(message: Buffer): void;
  /** The state of both directions, for the next message. */
  progress(): Progress;
  /** True when a record is still worth sending. */
  isWanted(record: OutRecord): boolean;
  /** Is told of the records of a batch that was sent. */
  sent(records: readonly OutRecord[], sequence: number): void;
}

/** Lane of records, many of which go in one numbered batch. */
export class BatchLane extends Lane<Buffer> {
  readonly #sink: BatchSink;
  /** Records that are in no batch yet. */
  readonly #records = new Denque<OutRecord>();
  #isScheduled = false;
  #isHeld = false;
  #flushedAtMs = 0;
  readonly #run = (): void => {
    this.#isScheduled = false;
    this.flush();
  };

  constructor(sink: BatchSink) {
    super(windowBytes, (message) => sink.transmit(message));
    this.#sink = sink;
  }

  /** True when the peer has every record. */
  get isIdle(): boolean {
    return this.#records.length === 0 && this.isAcked;
  }

  /**
   * Sends a record when the running code is done.
   *
   * What that enqueues besides goes in the same batch. If the last batch went only just now, so does what comes until
   * the end of the turn of the event loop.
   */
  enqueue(record: OutRecord): void {
    this.#records.push(record);
    if (!this.#isHeld) this.#schedule();
  }

  /** Keeps what is enqueued until `letGo`, so that the answers to one message make one batch. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Sends what was enqueued since `hold`. */
  letGo(): void {
    this.#isHeld = false;
    if (this.#records.length === 0 || this.#isScheduled) return;
    if (this.#isSoon()) this.#schedule();
    else this.flush();
  }

  /** Sends what is enqueued, as far as the window goes. */
  flush(): void {
    if (this.#records.length === 0) return;
    this.#flushedAtMs = performance.now();
    while (this.#records.length > 0 && this.hasRoom) this.#sendBatch();
  }

  override clear(): void {
    super.clear();
    this.#records.clear();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    if (this.#isSoon()) setImmediate(this.#run);
    else void resolved.then(this.#run);
  }

  #isSoon(): boolean {
    return performance.now() - this.#flushedAtMs < soonMs;
  }

  #sendBatch(): void {
    const sequence = this.next;
    const records: OutRecord[] = [];
    for (let sizeBytes = 0; sizeBytes < batchBytes;) {
      const record = this.#records.shift();
      if (record === undefined) break;
      if (!this.#sink.isWanted(record)) continue;
      sizeBytes += sizeOfRecord(record);
      records.push(record);
    }
    const batch = encodeBatch(this.#sink.progress(), records);
    this.send(batch, batch.length);
    this.#sink.sent(records, sequence);
  }
}

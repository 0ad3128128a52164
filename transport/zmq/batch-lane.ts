import { performance } from 'node:perf_hooks';
import { batchBytes, type OutRecord, type Progress } from './control-wire.ts';
import { encodeBatch, sizeOfRecord } from './control-writer.ts';
import { Fifo } from './fifo.ts';
import { Incoming, Outgoing } from './sequence.ts';

/** Batches on their way that the peer has not acknowledged. */
const windowBytes = 4 << 20;
/** After how much the receiver acknowledges unasked. */
const ackBytes = windowBytes / 4;
/** Records that come so soon after a batch wait for the end of this turn of the event loop. */
const soonMs = 0.02;

/** Its `then` is a microtask, at a fraction of what `queueMicrotask` costs. */
const done = Promise.resolve();

/** What the lane needs of its link. */
export interface BatchSink {
  send(message: Buffer): void;
  /** What the next message says about both directions. */
  progress(): Progress;
  /** Whether a record is still worth sending. */
  isWanted(record: OutRecord): boolean;
  /** A batch with these records is on its way. */
  sent(records: readonly OutRecord[], sequence: number): void;
}

/** The numbered batches of records, out and in. */
export class BatchLane {
  readonly #sink: BatchSink;
  /** Records that are in no batch yet. */
  readonly #records = new Fifo<OutRecord>();
  readonly #out = new Outgoing<Buffer>(windowBytes);
  readonly #in = new Incoming();
  #owedBytes = 0;
  #isScheduled = false;
  #isHeld = false;
  #flushedAtMs = 0;
  readonly #run = (): void => {
    this.#isScheduled = false;
    this.flush();
  };

  constructor(sink: BatchSink) {
    this.#sink = sink;
  }

  /** The number of the next batch out. */
  get next(): number {
    return this.#out.next;
  }

  /** The number of the next batch in. */
  get expected(): number {
    return this.#in.next;
  }

  /** Whether the peer has every record. */
  get isIdle(): boolean {
    return this.#records.length === 0 && this.#out.isIdle;
  }

  /** Whether the peer waits to hear that batches came. */
  get owesWord(): boolean {
    return this.#owedBytes >= ackBytes;
  }

  /**
   * Sends a record when the running code is done: what it enqueues meanwhile goes in the same batch, and so does
   * what comes until the end of the turn, if the last batch went only just now.
   */
  enqueue(record: OutRecord): void {
    this.#records.push(record);
    if (!this.#isHeld) this.#schedule();
  }

  /** Keeps what is enqueued until `letGo`: the answers to one message make one batch. */
  hold(): void {
    this.#isHeld = true;
  }

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
    while (this.#records.length > 0 && this.#out.hasRoom) this.#sendBatch();
  }

  /** Forgets what the peer has; false when it cannot have that. */
  acknowledge(next: number): boolean {
    return this.#out.acknowledge(next);
  }

  sendAgain(): void {
    for (const batch of this.#out.unacked()) this.#sink.send(batch);
  }

  /** What to do with a batch: take it, forget it, or forget it and ask for what is missing. */
  accept(sequence: number, sizeBytes: number): 'take' | 'drop' | 'ask' {
    const verdict = this.#in.accept(sequence);
    if (verdict === 'take') this.#owedBytes += sizeBytes;
    return verdict;
  }

  isBehind(sequence: number): boolean {
    return this.#in.isBehind(sequence);
  }

  /** A message said how far we are. */
  settle(): void {
    this.#owedBytes = 0;
  }

  clear(): void {
    this.#records.clear();
    this.#out.clear();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    if (this.#isSoon()) setImmediate(this.#run);
    else void done.then(this.#run);
  }

  #isSoon(): boolean {
    return performance.now() - this.#flushedAtMs < soonMs;
  }

  #sendBatch(): void {
    const sequence = this.#out.next;
    const records: OutRecord[] = [];
    for (let size = 0; size < batchBytes;) {
      const record = this.#records.shift();
      if (record === undefined) break;
      if (!this.#sink.isWanted(record)) continue;
      size += sizeOfRecord(record);
      records.push(record);
    }
    const batch = encodeBatch(this.#sink.progress(), records);
    this.#out.push(batch, batch.length);
    this.#sink.send(batch);
    this.#sink.sent(records, sequence);
  }
}

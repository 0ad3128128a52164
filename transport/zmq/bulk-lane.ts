import { CxmindError } from '../../src/errors.ts';
import { encodeChunkHead, encodeNext, type ChunkHead } from './bulk-wire.ts';
import { Fifo } from './fifo.ts';
import type { Outbox } from './outbox.ts';
import { Incoming, Outgoing } from './sequence.ts';

/** Chunks on their way that the peer has not acknowledged: in the queues of both ends and of the network. */
const windowBytes = 16 << 20;
/** After how much the receiver acknowledges unasked. */
const ackBytes = windowBytes / 4;

/** A channel, as far as its bulk goes. */
export interface BulkSource {
  readonly id: number;
  readonly outbox: Outbox;
}

/** Takes the bytes of a chunk to where they belong. */
export type Fill = (channel: number, offset: number, bytes: Uint8Array) => void;

interface SentChunk {
  readonly head: Buffer;
  readonly bytes: Uint8Array;
  /** Held along with the bytes: its owner may be waiting for it to be dropped. */
  readonly part: Uint8Array;
}

/** The numbered chunks of bulk, out and in. */
export class BulkLane {
  readonly #send: (head: Buffer, bytes?: Uint8Array) => void;
  /** Channels that have bulk to send and, for all we know, the credit for it; the next one first. */
  readonly #ready = new Set<BulkSource>();
  readonly #out = new Outgoing<SentChunk>(windowBytes);
  readonly #in = new Incoming();
  /** Chunks that came before the batch they belong to. */
  readonly #early = new Fifo<{ readonly head: ChunkHead; readonly bytes: Buffer }>();
  #earlyBytes = 0;
  #owedBytes = 0;

  constructor(send: (head: Buffer, bytes?: Uint8Array) => void) {
    this.#send = send;
  }

  /** The number of the next chunk in, and all below were put where they belong. */
  get expected(): number {
    return this.#in.next - this.#early.length;
  }

  /** Whether the peer has every chunk that was sent. */
  get isIdle(): boolean {
    return this.#out.isIdle;
  }

  /** Whether the peer waits to hear that chunks came. */
  get owesWord(): boolean {
    return this.#owedBytes >= ackBytes;
  }

  /** A channel has new bulk, or new credit for it. */
  makeReady(source: BulkSource): void {
    if (!source.outbox.isEmpty) this.#ready.add(source);
  }

  /** Sends as far as window and credits go; chunk by chunk, the channels take turns. */
  flush(): void {
    if (this.#ready.size === 0) return;
    for (const source of this.#ready) {
      if (!this.#out.hasRoom) return;
      this.#ready.delete(source);
      if (this.#sendChunk(source)) this.makeReady(source);
    }
  }

  acknowledge(next: number): boolean {
    return this.#out.acknowledge(next);
  }

  sendAgain(): void {
    for (const { head, bytes } of this.#out.unacked()) this.#send(head, bytes);
  }

  /** Tells the peer what it should have by now, in case the last chunks were lost. */
  remind(): void {
    if (!this.#out.isIdle) this.#send(encodeNext(this.#out.next));
  }

  /** What to do about a chunk: nothing, or ask for what is missing. @throws WIRE_INVALID */
  accept(head: ChunkHead, bytes: Buffer): 'take' | 'drop' | 'ask' {
    const verdict = this.#in.accept(head.sequence);
    if (verdict !== 'take') return verdict;
    this.#early.push({ head, bytes });
    this.#earlyBytes += bytes.length;
    if (this.#earlyBytes > 2 * windowBytes) {
      throw new CxmindError('WIRE_INVALID', 'bulk: more than the window without its packets');
    }
    return verdict;
  }

  isBehind(sequence: number): boolean {
    return this.#in.isBehind(sequence);
  }

  /** Hands over the chunks that belong to batches below the one that is expected next. */
  drain(expectedBatch: number, fill: Fill): void {
    for (let chunk = this.#early.peek(); chunk !== undefined; chunk = this.#early.peek()) {
      const { head, bytes } = chunk;
      if (head.batch >= expectedBatch) return;
      this.#early.shift();
      this.#earlyBytes -= bytes.length;
      this.#owedBytes += bytes.length;
      fill(head.channel, head.offset, bytes);
      release(bytes);
    }
  }

  /** A message said how far we are. */
  settle(): void {
    this.#owedBytes = 0;
  }

  clear(): void {
    this.#ready.clear();
    this.#out.clear();
    this.#early.clear();
  }

  /** @returns false when there was no credit for it */
  #sendChunk({ id, outbox }: BulkSource): boolean {
    const chunk = outbox.next();
    if (chunk === undefined) return false;
    const { bytes, part, batch, offset } = chunk;
    const sizeBytes = bytes.byteLength;
    const head = encodeChunkHead({
      sequence: this.#out.next,
      batch,
      offset,
      channel: id,
      sizeBytes,
    });
    this.#out.push({ head, bytes, part }, sizeBytes);
    this.#send(head, bytes);
    return true;
  }
}

/** Gives a message's memory back at once; the collector would let many such messages stand. */
function release(bytes: Buffer): void {
  const { buffer } = bytes;
  const isAll = buffer.byteLength === bytes.length && bytes.length >= 4096;
  if (isAll && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

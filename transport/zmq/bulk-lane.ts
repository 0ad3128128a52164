import Denque from 'denque';
import { CxmindError } from '../../src/errors.ts';
import { chunkBytes, encodeChunkHead, encodeNext, type ChunkHead } from './bulk-message.ts';
import { Lane, type Verdict } from './lane.ts';

/** Most bytes of chunks that are sent and not acknowledged, in the queues of both ends and of the network. */
const windowBytes = 16 << 20;

/** Puts the bytes of a chunk where they belong. */
export type Fill = (channel: number, offset: number, bytes: Uint8Array) => void;

/** Lane of bulk: the large parts of packets, which go in numbered chunks. The channels take turns. */
export class BulkLane extends Lane<Uint8Array[]> {
  readonly #transmit: (frames: Uint8Array[]) => void;
  /** Outboxes that have bulk and may have credit for it, the next one first. */
  readonly #ready = new Set<Outbox>();
  /** Chunks that came before the batch with the record of their packet. */
  readonly #early = new Denque<{ readonly head: ChunkHead; readonly bytes: Buffer }>();
  #earlyBytes = 0;

  /** @param transmit gives the frames of a message to the bulk socket */
  constructor(transmit: (frames: Uint8Array[]) => void) {
    super(windowBytes, transmit);
    this.#transmit = transmit;
  }

  /** Notes that an outbox has new bulk, or new credit for it. */
  makeReady(outbox: Outbox): void {
    if (!outbox.isEmpty) this.#ready.add(outbox);
  }

  /** Sends as far as the window and the credits go. */
  flush(): void {
    for (const outbox of this.#ready) {
      if (!this.hasRoom) return;
      this.#ready.delete(outbox);
      const chunk = outbox.next();
      if (chunk === undefined) continue;
      const { bytes, ...place } = chunk;
      const { channel } = outbox;
      this.send([encodeChunkHead({ sequence: this.next, channel, ...place }), bytes], bytes.length);
      // A set goes on with what is added to it, so that the channels take turns.
      this.makeReady(outbox);
    }
  }

  /** Tells the peer which chunk comes next, in case that the last ones were lost. */
  remind(): void {
    if (!this.isAcked) this.#transmit([encodeNext(this.next)]);
  }

  /** Judges a chunk that came, and keeps it for `drain` if it is taken. @throws WIRE_INVALID */
  acceptChunk(head: ChunkHead, bytes: Buffer): Verdict {
    const verdict = this.accept(head.sequence);
    if (verdict !== 'take') return verdict;
    this.#early.push({ head, bytes });
    this.#earlyBytes += bytes.length;
    if (this.#earlyBytes > 2 * windowBytes) {
      throw new CxmindError('WIRE_INVALID', 'bulk: more than the window without its packets');
    }
    return verdict;
  }

  /** Hands over the chunks whose batches are below `batch`: the records of their packets have come. */
  drain(batch: number, fill: Fill): void {
    for (;;) {
      const chunk = this.#early.peekFront();
      if (chunk === undefined || chunk.head.batch >= batch) return;
      const { head, bytes } = chunk;
      this.#early.shift();
      this.#earlyBytes -= bytes.length;
      this.take(bytes.length);
      fill(head.channel, head.offset, bytes);
      release(bytes);
    }
  }

  override clear(): void {
    super.clear();
    this.#ready.clear();
    this.#early.clear();
  }
}

/** Gives a message's memory back at once: the collector would let many such messages stand. */
function release(bytes: Buffer): void {
  const { buffer } = bytes;
  const isAll = buffer.byteLength === bytes.length && bytes.length >= 4096;
  if (isAll && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** A piece of a part that may be sent. */
interface Chunk {
  /** A view of the part, not a copy. */
  readonly bytes: Uint8Array;
  /** The batch with the record of the part's packet. */
  readonly batch: number;
  /** Offset of the chunk in all the bulk of its channel. */
  readonly offset: number;
}

/** The bulk of one channel that waits to be sent. */
export class Outbox {
  readonly channel: number;
  readonly #parts = new Denque<{ readonly bytes: Uint8Array; readonly batch: number }>();
  #sentOfPart = 0;
  #sentBytes = 0;
  #limitBytes: number;

  /** @param creditBytes what may be sent before the receiver allows more */
  constructor(channel: number, creditBytes: number) {
    this.channel = channel;
    this.#limitBytes = creditBytes;
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0;
  }

  push(bytes: Uint8Array, batch: number): void {
    this.#parts.push({ bytes, batch });
  }

  /** Raises the offset up to which the receiver takes bulk. */
  allow(limitBytes: number): void {
    this.#limitBytes = Math.max(this.#limitBytes, limitBytes);
  }

  /** Takes out the next chunk; undefined when there is none, or no credit for it. */
  next(): Chunk | undefined {
    const part = this.#parts.peekFront();
    if (part === undefined) return undefined;
    const left = part.bytes.byteLength - this.#sentOfPart;
    const sizeBytes = Math.min(left, chunkBytes, this.#limitBytes - this.#sentBytes);
    if (sizeBytes <= 0) return undefined;
    const bytes = part.bytes.subarray(this.#sentOfPart, this.#sentOfPart + sizeBytes);
    const offset = this.#sentBytes;
    this.#sentBytes += sizeBytes;
    this.#sentOfPart += sizeBytes;
    if (sizeBytes === left) {
      this.#parts.shift();
      this.#sentOfPart = 0;
    }
    return { bytes, batch: part.batch, offset };
  }

  clear(): void {
    this.#parts.clear();
    this.#sentOfPart = 0;
  }
}

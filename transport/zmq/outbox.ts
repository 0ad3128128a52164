import { chunkBytes } from './bulk-wire.ts';
import { Fifo } from './fifo.ts';

interface Part {
  readonly bytes: Uint8Array;
  readonly batch: number;
}

/** A piece of a part, ready to be sent. */
export interface Chunk {
  /** A view of the part, not a copy. */
  readonly bytes: Uint8Array;
  /** The whole part; whoever holds a chunk holds the part's owner with it. */
  readonly part: Uint8Array;
  /** The batch with the record of the part's packet. */
  readonly batch: number;
  /** Where the chunk begins in all the bulk of its channel. */
  readonly offset: number;
}

/** The bulk of one channel that waits to be sent, as far as the receiver's credit goes. */
export class Outbox {
  readonly #parts = new Fifo<Part>();
  #sentOfPart = 0;
  #sentBytes = 0;
  #limitBytes: number;

  /** @param creditBytes what may be sent before the receiver says more */
  constructor(creditBytes: number) {
    this.#limitBytes = creditBytes;
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0;
  }

  push(bytes: Uint8Array, batch: number): void {
    this.#parts.push({ bytes, batch });
  }

  /** The receiver takes all up to this offset. */
  allow(limitBytes: number): void {
    this.#limitBytes = Math.max(this.#limitBytes, limitBytes);
  }

  /** The next chunk, unless there is none or no credit for it. */
  next(): Chunk | undefined {
    const part = this.#parts.peek();
    if (part === undefined) return undefined;
    const left = part.bytes.byteLength - this.#sentOfPart;
    const sizeBytes = Math.min(left, chunkBytes, this.#limitBytes - this.#sentBytes);
    if (sizeBytes <= 0) return undefined;
    const bytes = part.bytes.subarray(this.#sentOfPart, this.#sentOfPart + sizeBytes);
    const chunk = { bytes, part: part.bytes, batch: part.batch, offset: this.#sentBytes };
    this.#sentBytes += sizeBytes;
    this.#sentOfPart += sizeBytes;
    if (sizeBytes === left) {
      this.#parts.shift();
      this.#sentOfPart = 0;
    }
    return chunk;
  }

  clear(): void {
    this.#parts.clear();
    this.#sentOfPart = 0;
  }
}

import { u32At } from '../frame.ts';
import { packetBytes, packetHead, ringDataAt, ringWords } from './layout.ts';

const { written, read, asleep } = ringWords;

const nothing = new Uint8Array(0);

/** Bytes that are copied one by one sooner than a view is made to copy them from. */
const smallBatch = 128;

/** The views of one ring. */
class RingMemory {
  readonly words: Int32Array;
  readonly data: Uint8Array;
  readonly heads: Int32Array;
  readonly mask: number;

  constructor(memory: SharedArrayBuffer, offset: number, capacity: number) {
    // Packets are whole sixteens of bytes, so a head, which is one, never goes round the end of such a ring.
    if (capacity < 64 || (capacity & (capacity - 1)) !== 0) {
      throw new RangeError(`a ring of ${capacity} bytes; a power of two from 64 is expected`);
    }
    this.words = new Int32Array(memory, offset, ringDataAt / 4);
    this.data = new Uint8Array(memory, offset + ringDataAt, capacity);
    this.heads = new Int32Array(memory, offset + ringDataAt, capacity / 4);
    this.mask = capacity - 1;
  }
}

/** The writing end of a ring; never waits. */
export class RingWriter {
  readonly #ring: RingMemory;
  #written = 0;

  constructor(memory: SharedArrayBuffer, offset: number, capacity: number) {
    this.#ring = new RingMemory(memory, offset, capacity);
  }

  /**
   * Copies a packet into the ring, where the reader may find it at once; false when there is no room. For a packet
   * that is longer than the ring there never is: the caller has another way for those.
   */
  write(sequence: number, header: Uint8Array, descriptors: Uint8Array = nothing): boolean {
    const { words, data, heads, mask } = this.#ring;
    const size = packetBytes(header.length, descriptors.length);
    const taken = (this.#written - Atomics.load(words, read)) | 0;
    if (size > data.length - taken) return false;
    const at = this.#written & mask;
    heads[at >> 2] = header.length;
    heads[(at >> 2) + 1] = sequence;
    heads[(at >> 2) + 2] = descriptors.length;
    this.#put(header, at + packetHead);
    if (descriptors.length > 0) this.#put(descriptors, at + packetHead + header.length);
    this.#written = (this.#written + size) | 0;
    Atomics.store(words, written, this.#written);
    return true;
  }

  #put(bytes: Uint8Array, position: number): void {
    const { data, mask } = this.#ring;
    const start = position & mask;
    const untilEnd = data.length - start;
    if (bytes.length <= untilEnd) {
      data.set(bytes, start);
    } else {
      data.set(bytes.subarray(0, untilEnd), start);
      data.set(bytes.subarray(untilEnd), 0);
    }
  }

  /** Whether the reader sleeps and it is now up to the caller to wake it; asked after every write. */
  mustWake(): boolean {
    return Atomics.exchange(this.#ring.words, asleep, 0) === 1;
  }
}

/** The reading end of a ring: takes out all there is at once, then walks through it. */
export class RingReader {
  readonly #ring: RingMemory;
  #read = 0;
  #batch: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(memory: SharedArrayBuffer, offset: number, capacity: number) {
    this.#ring = new RingMemory(memory, offset, capacity);
  }

  /** Copies what was written so far out of the ring, once all of the last such batch was shifted out. */
  refill(): void {
    const { words, data, mask } = this.#ring;
    const end = Atomics.load(words, written);
    const size = (end - this.#read) | 0;
    if (size === 0 || this.hasNext) return;
    const batch = Buffer.allocUnsafe(size);
    const start = this.#read & mask;
    if (size <= smallBatch) {
      for (let i = 0; i < size; i++) batch[i] = data[(start + i) & mask]!;
    } else {
      const untilEnd = Math.min(size, data.length - start);
      batch.set(data.subarray(start, start + untilEnd));
      if (untilEnd < size) batch.set(data.subarray(0, size - untilEnd), untilEnd);
    }
    this.#read = end;
    Atomics.store(words, read, end);
    this.#batch = batch;
    this.#at = 0;
  }

  /** Whether a packet of the batch is left. */
  get hasNext(): boolean {
    return this.#at < this.#batch.length;
  }

  /** What the next packet's sender counted. */
  get sequence(): number {
    return u32At(this.#batch, this.#at + 4) | 0;
  }

  /** The next packet's header and its frames' descriptors, which are the caller's to keep. */
  shift(): readonly [header: Uint8Array, descriptors: Uint8Array] {
    const batch = this.#batch;
    const headerBytes = u32At(batch, this.#at);
    const descriptorBytes = u32At(batch, this.#at + 8);
    const start = batch.byteOffset + this.#at + packetHead;
    this.#at += packetBytes(headerBytes, descriptorBytes);
    return [
      new Uint8Array(batch.buffer, start, headerBytes),
      descriptorBytes === 0
        ? nothing
        : new Uint8Array(batch.buffer, start + headerBytes, descriptorBytes),
    ];
  }

  /** Asks to be woken for the next packet; false when there is one already. */
  sleep(): boolean {
    const { words } = this.#ring;
    Atomics.store(words, asleep, 1);
    if (!this.hasNext && Atomics.load(words, written) === this.#read) return true;
    Atomics.store(words, asleep, 0);
    return false;
  }
}

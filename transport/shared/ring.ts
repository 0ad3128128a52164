import { u32At } from '../bytes.ts';
import { packetBytes, packetHead, ringDataAt, ringWords } from './layout.ts';

/*
 * Ring of packets in shared memory, with one writer and one reader: Lamport's queue, drawn in `layout.ts`.
 *
 * It deviates in two ways. The reader copies out all packets at once, so that their room is free before they are
 * delivered. And nobody waits: a reader that has nothing sets a word, and the writer that clears it sends a message.
 */

const { writePosition, readPosition, asleep } = ringWords;

const noDescriptors = new Uint8Array(0);

/** Longest batch that is copied byte by byte. A view to copy from costs more than so few bytes. */
const smallBatchBytes = 128;

/** Views of one ring's memory. */
class RingMemory {
  readonly words: Int32Array;
  readonly data: Uint8Array;
  readonly heads: Int32Array;
  readonly mask: number;

  constructor(memory: SharedArrayBuffer, offset: number, capacity: number) {
    // Packets begin at multiples of 16, so a head of 16 bytes never goes round the end of such a ring.
    if (capacity < 64 || (capacity & (capacity - 1)) !== 0) {
      throw new RangeError(`a ring of ${capacity} bytes; a power of two from 64 is expected`);
    }
    this.words = new Int32Array(memory, offset, ringDataAt / 4);
    this.data = new Uint8Array(memory, offset + ringDataAt, capacity);
    this.heads = new Int32Array(memory, offset + ringDataAt, capacity / 4);
    this.mask = capacity - 1;
  }
}

/** Writing end of a ring. It never waits. */
export class RingWriter {
  readonly #ring: RingMemory;
  #position = 0;

  constructor(memory: SharedArrayBuffer, offset: number, capacity: number) {
    this.#ring = new RingMemory(memory, offset, capacity);
  }

  /**
   * Copies a packet into the ring, where the reader may find it at once.
   *
   * False when there is no room. For a packet that is longer than the ring there never is, and the caller has another
   * way.
   */
  write(sequence: number, header: Uint8Array, descriptors: Uint8Array = noDescriptors): boolean {
    const { words, data, heads, mask } = this.#ring;
    const sizeBytes = packetBytes(header.length, descriptors.length);
    const takenBytes = (this.#position - Atomics.load(words, readPosition)) | 0;
    if (sizeBytes > data.length - takenBytes) return false;
    const at = this.#position & mask;
    heads[at >> 2] = header.length;
    heads[(at >> 2) + 1] = sequence;
    heads[(at >> 2) + 2] = descriptors.length;
    this.#put(header, at + packetHead);
    if (descriptors.length > 0) this.#put(descriptors, at + packetHead + header.length);
    this.#position = (this.#position + sizeBytes) | 0;
    // The packet is published by this store: the reader sees all of it or nothing.
    Atomics.store(words, writePosition, this.#position);
    return true;
  }

  /** Copies bytes to a position, going round the end where they must. */
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

  /** True when the reader sleeps and the caller has to wake it. To be asked after every write. */
  mustWake(): boolean {
    return Atomics.exchange(this.#ring.words, asleep, 0) === 1;
  }
}

/** Reading end of a ring. It copies out all packets that are there, then walks through the copy. */
export class RingReader {
  readonly #ring: RingMemory;
  #position = 0;
  /** The copy, whole packets one after the other. */
  #batch: Buffer = Buffer.alloc(0);
  /** Offset of the next packet in the copy. */
  #at = 0;

  constructor(memory: SharedArrayBuffer, offset: number, capacity: number) {
    this.#ring = new RingMemory(memory, offset, capacity);
  }

  /** Copies out all that was written so far, if nothing of the last copy is left. */
  refill(): void {
    const { words, data, mask } = this.#ring;
    const end = Atomics.load(words, writePosition);
    const size = (end - this.#position) | 0;
    if (size === 0 || this.hasNext) return;
    const batch = Buffer.allocUnsafe(size);
    const start = this.#position & mask;
    if (size <= smallBatchBytes) {
      for (let i = 0; i < size; i++) batch[i] = data[(start + i) & mask]!;
    } else {
      const untilEnd = Math.min(size, data.length - start);
      batch.set(data.subarray(start, start + untilEnd));
      if (untilEnd < size) batch.set(data.subarray(0, size - untilEnd), untilEnd);
    }
    this.#position = end;
    Atomics.store(words, readPosition, end);
    this.#batch = batch;
    this.#at = 0;
  }

  /** True while a packet of the copy is left. */
  get hasNext(): boolean {
    return this.#at < this.#batch.length;
  }

  /** Number of packets that were sent before the next one, modulo 2^32. */
  get sequence(): number {
    return u32At(this.#batch, this.#at + 4) | 0;
  }

  /** Takes out the next packet: its header and the descriptors of its frames, which the caller may keep. */
  shift(): readonly [header: Uint8Array, descriptors: Uint8Array] {
    const batch = this.#batch;
    const headerBytes = u32At(batch, this.#at);
    const descriptorBytes = u32At(batch, this.#at + 8);
    const start = batch.byteOffset + this.#at + packetHead;
    this.#at += packetBytes(headerBytes, descriptorBytes);
    return [
      new Uint8Array(batch.buffer, start, headerBytes),
      descriptorBytes === 0
        ? noDescriptors
        : new Uint8Array(batch.buffer, start + headerBytes, descriptorBytes),
    ];
  }

  /** Asks to be woken for the next packet. False when there is one already. */
  sleep(): boolean {
    const { words } = this.#ring;
    Atomics.store(words, asleep, 1);
    // The word is set before this look. So a writer that publishes after the look finds it set.
    if (!this.hasNext && Atomics.load(words, writePosition) === this.#position) return true;
    Atomics.store(words, asleep, 0);
    return false;
  }
}

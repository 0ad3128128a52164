/**
 * Ring of packets in shared memory, from one thread to one other: Lamport's queue of bytes.
 *
 * A packet is a message's header, with descriptors of its frames if they lie on slabs (`slab.ts`). A message that does
 * not fit goes another way. So each packet has its number in the order of all messages, by which the receiver puts both
 * ways together.
 *
 *   offset   bytes     content                                               writer
 *   0        4         i32 write position: where the next packet goes        writing end
 *   64       4         i32 read position: all before it is free again        reading end
 *   128      4         i32 asleep: 1 while the reader wants to be woken      both
 *   192      capacity  packets, each at a multiple of 16; a packet that      writing end
 *                      reaches the end goes on at the beginning
 *
 * A packet begins with a prefix of 16 bytes:
 *
 *   offset   bytes     content
 *   0        4         i32 n, length of the header
 *   4        4         i32 number of packets that were sent before, modulo 2^32
 *   8        4         i32 m, length of the descriptors of the frames
 *   12       4         unused
 *   16       n         header
 *   16+n     m         descriptors, and padding up to a multiple of 16
 *
 * Positions count all bytes that were ever written or read, modulo 2^32. They are kept as i32 by `| 0`, which also makes
 * the difference of two positions right when one has wrapped. The capacity is a power of two, so `position & mask` is the
 * place in the data. Each word that another thread writes has a cache line to itself.
 *
 * Two things differ from Lamport's queue. The reader copies out all packets at once, so that their room is free before
 * they are delivered. And neither end blocks: a reader that has nothing to do sets the word `asleep` and returns to its
 * event loop. After its next packet the writer clears the word, and wakes the reader by a message (`wake`).
 *
 * There is one writer and one reader, since a thread may be ended between any two instructions. With several writers,
 * one that died between claiming its place and publishing it would hold up the others for ever. A thread that hears
 * several others has a ring from each.
 */
import { u32At } from '../bytes.ts';

/** Indexes of a ring's words, in i32 elements. */
const WRITE_POSITION = 0;
const READ_POSITION = 16;
const ASLEEP = 32;
/** Offset of a ring's data, in bytes. */
const DATA_AT = 192;

/** Bytes of which packets take a multiple. */
const PACKET_ALIGNMENT = 16;
/** Bytes of a packet's prefix. */
const PREFIX_BYTES = 16;
/** Indexes of the fields of a packet's prefix, in i32 elements. */
const HEADER_WORD = 0;
const SEQUENCE_WORD = 1;
const DESCRIPTORS_WORD = 2;

const NO_DESCRIPTORS = new Uint8Array(0);

/** Longest batch that is copied byte by byte. For so few bytes, `set` from a new view takes longer. */
const SMALL_BATCH_BYTES = 128;

/**
 * Bytes of a ring with that capacity: a power of two from 16 to 2^30, since positions and their differences are i32.
 *
 * Packets begin at multiples of 16, and so does the end of the ring. So no prefix of 16 bytes is cut by the end.
 */
export function ringBytes(capacity: number): number {
  return DATA_AT + capacity;
}

/** Bytes that a packet takes in a ring. */
export function packetBytes(headerBytes: number, descriptorBytes: number): number {
  const bytes = PREFIX_BYTES + headerBytes + descriptorBytes;
  return PACKET_ALIGNMENT * Math.ceil(bytes / PACKET_ALIGNMENT);
}

/** Views of one ring's memory. */
class RingMemory {
  readonly words: Int32Array;
  readonly data: Uint8Array;
  /** The data as i32, for the prefixes of packets. */
  readonly prefixes: Int32Array;
  readonly mask: number;

  /** @param offset a multiple of 64, so that each word has a cache line to itself */
  constructor(memory: SharedArrayBuffer, offset: number, capacity: number) {
    this.words = new Int32Array(memory, offset, DATA_AT / 4);
    this.data = new Uint8Array(memory, offset + DATA_AT, capacity);
    this.prefixes = new Int32Array(memory, offset + DATA_AT, capacity / 4);
    this.mask = capacity - 1;
  }
}

/** Writing end of a ring. It never waits. */
export class RingWriter {
  readonly #ring: RingMemory;
  readonly #wake: () => void;
  #position = 0;

  /** @param wake wakes a reader that sleeps */
  constructor(memory: SharedArrayBuffer, offset: number, capacity: number, wake: () => void) {
    this.#ring = new RingMemory(memory, offset, capacity);
    this.#wake = wake;
  }

  /**
   * Copies a packet into the ring, where the reader may find it at once.
   *
   * False when there is no room, as always for a packet longer than the ring. The caller must then send it another way.
   */
  write(sequence: number, header: Uint8Array, descriptors: Uint8Array = NO_DESCRIPTORS): boolean {
    const { words, data, prefixes, mask } = this.#ring;
    const sizeBytes = packetBytes(header.length, descriptors.length);
    const takenBytes = (this.#position - Atomics.load(words, READ_POSITION)) | 0;
    if (sizeBytes > data.length - takenBytes) return false;
    const start = this.#position & mask;
    const prefixAt = start >> 2;
    prefixes[prefixAt + HEADER_WORD] = header.length;
    prefixes[prefixAt + SEQUENCE_WORD] = sequence;
    prefixes[prefixAt + DESCRIPTORS_WORD] = descriptors.length;
    this.#put(header, start + PREFIX_BYTES);
    if (descriptors.length > 0) this.#put(descriptors, start + PREFIX_BYTES + header.length);
    this.#position = (this.#position + sizeBytes) | 0;
    // The packet is published by this store: the reader sees all of it or nothing.
    Atomics.store(words, WRITE_POSITION, this.#position);
    if (Atomics.exchange(words, ASLEEP, 0) === 1) this.#wake();
    return true;
  }

  /** Copies bytes to a place. What does not fit before the end of the ring goes to its beginning. */
  #put(bytes: Uint8Array, place: number): void {
    const { data, mask } = this.#ring;
    const start = place & mask;
    const untilEnd = data.length - start;
    if (bytes.length <= untilEnd) {
      data.set(bytes, start);
    } else {
      data.set(bytes.subarray(0, untilEnd), start);
      data.set(bytes.subarray(untilEnd), 0);
    }
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

  /** Copies out all that was written so far. It does nothing while packets of the last copy are left. */
  refill(): void {
    if (this.hasNext) return;
    const { words, data, mask } = this.#ring;
    const end = Atomics.load(words, WRITE_POSITION);
    const size = (end - this.#position) | 0;
    if (size === 0) return;
    const batch = Buffer.allocUnsafe(size);
    const start = this.#position & mask;
    if (size <= SMALL_BATCH_BYTES) {
      for (let i = 0; i < size; i++) batch[i] = data[(start + i) & mask]!;
    } else {
      const untilEnd = Math.min(size, data.length - start);
      batch.set(data.subarray(start, start + untilEnd));
      if (untilEnd < size) batch.set(data.subarray(0, size - untilEnd), untilEnd);
    }
    this.#position = end;
    Atomics.store(words, READ_POSITION, end);
    this.#batch = batch;
    this.#at = 0;
  }

  /** True while a packet of the copy is left. */
  get hasNext(): boolean {
    return this.#at < this.#batch.length;
  }

  /** Number of packets that were sent before the next one, an i32 that wraps. Read only while `hasNext`. */
  get sequence(): number {
    return this.#prefixWord(SEQUENCE_WORD) | 0;
  }

  /**
   * Takes out the next packet: its header and the descriptors of its frames. Called only while `hasNext`.
   *
   * Both are views of the copy. A caller may keep them, and with them the memory of the whole copy, or of the pool that a
   * small one is cut from.
   */
  shift(): readonly [header: Uint8Array, descriptors: Uint8Array] {
    const batch = this.#batch;
    const headerBytes = this.#prefixWord(HEADER_WORD);
    const descriptorBytes = this.#prefixWord(DESCRIPTORS_WORD);
    const start = batch.byteOffset + this.#at + PREFIX_BYTES;
    this.#at += packetBytes(headerBytes, descriptorBytes);
    return [
      new Uint8Array(batch.buffer, start, headerBytes),
      descriptorBytes === 0
        ? NO_DESCRIPTORS
        : new Uint8Array(batch.buffer, start + headerBytes, descriptorBytes),
    ];
  }

  /**
   * Sets `asleep`, so that the writer wakes the reader after its next packet. True when the caller may return to its
   * event loop; false when there is a packet already, and the caller has to read on.
   */
  prepareToSleep(): boolean {
    const { words } = this.#ring;
    Atomics.store(words, ASLEEP, 1);
    // The word is set before the position is read. So a writer that publishes later finds the word set.
    if (!this.hasNext && Atomics.load(words, WRITE_POSITION) === this.#position) return true;
    // If the writer has cleared the word by now, it wakes a reader that is awake, which does no harm.
    Atomics.store(words, ASLEEP, 0);
    return false;
  }

  /** A field of the next packet's prefix, as u32. The machine is little-endian, as `u32At` is. */
  #prefixWord(word: number): number {
    return u32At(this.#batch, this.#at + 4 * word);
  }
}

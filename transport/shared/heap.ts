import { collectShared, sharedBuffer } from '../../src/tensor/memory.ts';
import type { PayloadMemory } from './bytes.ts';
import { unitBytes } from './layout.ts';
import { SlabAllocator, slabMemory, type Slab } from './slab.ts';

/** Data bytes of a thread's slab unless said otherwise: room for a 64 MiB tensor and as much again. */
export const defaultSlabBytes = 128 * 2 ** 20;

/**
 * How much a thread may hold anew before it looks for garbage, unless said otherwise: a look takes ten milliseconds, as
 * long as it takes to read a picture of a megabyte, and this leaves room for a 64 MiB tensor beside the garbage.
 */
const defaultLeewayBytes = 48 * 2 ** 20;

/** What a buffer counts for beside its block: its grant is one of a limited number. */
const bufferBytes = 2048;

/** Where the bytes of a buffer lie: a block of a slab, held for as long as the buffer can be reached. */
export interface Place {
  readonly slab: Slab;
  readonly block: number;
}

/**
 * A thread's payloads: blocks of the slab it owns, and blocks of other threads' slabs that were granted to it.
 *
 * Each block is handed out on a SharedArrayBuffer object of its own over the slab's memory. Whatever is derived from
 * it, views of views included, keeps that object alive, and when it is garbage the hold on the block ends.
 */
export class PayloadHeap implements PayloadMemory {
  readonly memory: SharedArrayBuffer;
  readonly #allocator: SlabAllocator;
  readonly #places = new WeakMap<ArrayBufferLike, Place>();
  readonly #holds = new FinalizationRegistry<() => void>((release) => release());
  /** How many buffers there are for each block, those that are garbage by now among them. */
  readonly #buffers = new Map<Slab, Map<number, number>>();
  #heldBytes = 0;
  readonly #leewayBytes: number;
  /** How much may be held before garbage is looked for. */
  #patienceBytes: number;
  #spilledBytes = 0;
  /** How much may be spilled before blocks are asked back again. */
  #askBackAtBytes = 0;

  /**
   * @param memory of a slab whose last owner, if it had one, is gone
   * @param leewayBytes how much may be held anew before garbage is looked for
   */
  constructor(
    memory: SharedArrayBuffer = slabMemory(defaultSlabBytes),
    leewayBytes: number = defaultLeewayBytes,
  ) {
    this.memory = memory;
    this.#leewayBytes = leewayBytes;
    this.#patienceBytes = leewayBytes;
    this.#allocator = new SlabAllocator(memory);
  }

  /** Bytes so far that found no room in the slab and went to memory of their own. */
  get spilledBytes(): number {
    return this.#spilledBytes;
  }

  /** Bytes of a new block, whatever they were before; of memory of their own when the slab has no room. */
  allocate(byteLength: number): Uint8Array {
    const block = this.#allocator.take(byteLength);
    const { slab } = this.#allocator;
    if (block === undefined) {
      this.#spill(byteLength);
      return new Uint8Array(sharedBuffer(byteLength));
    }
    const buffer = this.#hold({ slab, block }, () => slab.drop(block));
    return new Uint8Array(buffer, slab.offsetOf(block), byteLength);
  }

  share(bytes: Uint8Array): Uint8Array {
    if (bytes.buffer instanceof SharedArrayBuffer) return bytes;
    const shared = this.allocate(bytes.byteLength);
    shared.set(bytes);
    return shared;
  }

  /** The block a buffer is of, if it is of one. */
  placeOf(buffer: ArrayBufferLike): Place | undefined {
    return this.#places.get(buffer);
  }

  /** A block that another thread granted; `release` is called when nothing of it can be reached any more. */
  adopt(place: Place, release: () => void): SharedArrayBuffer {
    return this.#hold(place, release);
  }

  /** What is garbage here comes back after this collection, what is garbage elsewhere after theirs. */
  #spill(byteLength: number): void {
    if (this.#spilledBytes >= this.#askBackAtBytes) {
      this.#askBackAtBytes = this.#spilledBytes + this.#leewayBytes;
      this.#allocator.slab.askBack();
      collectShared();
    }
    this.#spilledBytes += byteLength;
  }

  #hold(place: Place, release: () => void): SharedArrayBuffer {
    const buffer = structuredClone(place.slab.memory);
    // looked up now: once released, the block may become part of another
    const sizeBytes = place.slab.lengthOf(place.block) * unitBytes;
    this.#places.set(buffer, place);
    this.#holds.register(buffer, () => {
      release();
      this.#count(place, -1, sizeBytes);
    });
    this.#count(place, 1, sizeBytes);
    if (this.#heldBytes > this.#patienceBytes) {
      // the collector sees objects of a few bytes, and would let blocks run out before it looks
      this.#patienceBytes = this.#heldBytes + this.#leewayBytes;
      collectShared();
    }
    return buffer;
  }

  #count({ slab, block }: Place, change: 1 | -1, sizeBytes: number): void {
    const ofSlab = this.#buffers.get(slab) ?? new Map<number, number>();
    const before = ofSlab.get(block) ?? 0;
    const after = before + change;
    if (after === 0) ofSlab.delete(block);
    else ofSlab.set(block, after);
    if (ofSlab.size === 0) this.#buffers.delete(slab);
    else this.#buffers.set(slab, ofSlab);
    const isBlockNew = before === 0 || after === 0;
    this.#heldBytes += change * (bufferBytes + (isBlockNew ? sizeBytes : 0));
    this.#patienceBytes = Math.min(this.#patienceBytes, this.#heldBytes + this.#leewayBytes);
  }
}

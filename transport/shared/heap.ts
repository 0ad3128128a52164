import { collectShared, sharedBuffer } from '../../src/tensor/memory.ts';
import type { PayloadMemory } from './payload-memory.ts';
import { SlabAllocator, slabMemory, unitBytes, type Slab, type SlabBlock } from './slab.ts';

/** Default size of a thread's slab: room for a tensor of 64 MiB, twice. */
export const defaultSlabBytes = 128 * 2 ** 20;

/**
 * Default number of bytes that a thread may hold anew before it collects garbage.
 *
 * A collection takes ten milliseconds, as long as reading a picture of a megabyte. This leaves room for a tensor of
 * 64 MiB beside the garbage.
 */
const defaultLeewayBytes = 48 * 2 ** 20;

/** Cost of a buffer beside its block, in bytes: its grant is one of a limited number. */
const bufferBytes = 2048;

/**
 * Payloads of a thread: blocks of the slab that it owns, and blocks of other slabs that were granted to it.
 *
 * Each block is handed out on a SharedArrayBuffer object of its own over the slab's memory. All views of it, and views
 * of those, keep that object alive. When it is garbage, the hold on the block ends.
 */
export class PayloadHeap implements PayloadMemory {
  readonly memory: SharedArrayBuffer;
  readonly #allocator: SlabAllocator;
  /** Blocks by the buffers over them. Each is held for as long as its buffer can be reached. */
  readonly #blocks = new WeakMap<ArrayBufferLike, SlabBlock>();
  readonly #holds = new FinalizationRegistry<() => void>((release) => release());
  /** Number of buffers for each block, with those that are garbage and not collected yet. */
  readonly #buffers = new Map<Slab, Map<number, number>>();
  #heldBytes = 0;
  readonly #leewayBytes: number;
  /** Held bytes above which garbage is collected. */
  #patienceBytes: number;
  #spilledBytes = 0;
  /** Spilled bytes from which blocks are asked back again. */
  #askBackAtBytes = 0;

  /**
   * @param memory of a slab whose last owner, if it had one, is gone
   * @param leewayBytes how much may be held anew before garbage is collected
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

  /** Number of bytes that found no room in the slab and went to memory of their own. */
  get spilledBytes(): number {
    return this.#spilledBytes;
  }

  /** Allocates a block, not cleared. When the slab has no room, the bytes have memory of their own. */
  allocate(byteLength: number): Uint8Array {
    const block = this.#allocator.take(byteLength);
    const { slab } = this.#allocator;
    if (block === undefined) {
      this.#spill(byteLength);
      return new Uint8Array(sharedBuffer(byteLength));
    }
    const buffer = this.adopt({ slab, block }, () => slab.drop(block));
    return new Uint8Array(buffer, slab.offsetOf(block), byteLength);
  }

  share(bytes: Uint8Array): Uint8Array {
    if (bytes.buffer instanceof SharedArrayBuffer) return bytes;
    const shared = this.allocate(bytes.byteLength);
    shared.set(bytes);
    return shared;
  }

  /** Finds the block that a buffer lies on; undefined for one that lies on none. */
  blockOf(buffer: ArrayBufferLike): SlabBlock | undefined {
    return this.#blocks.get(buffer);
  }

  /** Counts bytes without room, and asks for blocks back: this thread collects its garbage, and so do the others. */
  #spill(byteLength: number): void {
    if (this.#spilledBytes >= this.#askBackAtBytes) {
      this.#askBackAtBytes = this.#spilledBytes + this.#leewayBytes;
      this.#allocator.slab.askBack();
      collectShared();
    }
    this.#spilledBytes += byteLength;
  }

  /**
   * Holds a block, as one that another thread granted. `release` is called when nothing of it can be reached any more.
   */
  adopt(held: SlabBlock, release: () => void): SharedArrayBuffer {
    const buffer = structuredClone(held.slab.memory);
    // The size is looked up now: once released, the block may become part of another.
    const sizeBytes = held.slab.lengthOf(held.block) * unitBytes;
    this.#blocks.set(buffer, held);
    this.#holds.register(buffer, () => {
      release();
      this.#count(held, -1, sizeBytes);
    });
    this.#count(held, 1, sizeBytes);
    if (this.#heldBytes > this.#patienceBytes) {
      // V8 sees objects of a few bytes, and would not collect them before blocks run out.
      this.#patienceBytes = this.#heldBytes + this.#leewayBytes;
      collectShared();
    }
    return buffer;
  }

  #count({ slab, block }: SlabBlock, change: 1 | -1, sizeBytes: number): void {
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

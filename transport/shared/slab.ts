/**
 * A slab holds the payloads of the one thread that owns it. A block is a run of units. Other threads hold blocks by
 * counted grants.
 *
 *   offset   bytes     content                                                     writer
 *   0        4         i32 number of times that the owner found no room            owner
 *   64       4u        i32 references to the block that begins at each unit        all who hold it
 *                        bit 30      the owner holds it
 *                        bits 0..29  number of open grants to other threads
 *   64+4u    4u        i32 units of the block that begins at each unit             owner
 *   64+8u    1024u     data
 *
 * A block without references is free. Only the owner takes free blocks, so nobody waits for anybody, and a thread that
 * is ended in the middle of anything leaves at worst a block that stays taken.
 */
import { lastingBuffer } from '../../src/tensor/memory.ts';
import { Extents } from './extents.ts';

/** Bytes of a unit: a multiple of 64, so that every block is aligned as the data are. */
export const unitBytes = 1024;
/** Step of a slab's number of units. It makes the data begin at a multiple of 64 bytes, which kernels like. */
const unitStep = 8;
/** The owner's hold in a block's references. */
const ownersHold = 1 << 30;

/** Offsets of the parts of a slab with that many units, and its size, in bytes. */
function slabLayout(units: number): {
  readonly shortages: number;
  readonly references: number;
  readonly lengths: number;
  readonly data: number;
  readonly sizeBytes: number;
} {
  const references = 64;
  const lengths = references + 4 * units;
  const data = lengths + 4 * units;
  return { shortages: 0, references, lengths, data, sizeBytes: data + unitBytes * units };
}

/** Units of a slab with that size. */
function unitsOf(sizeBytes: number): number {
  return (
    (sizeBytes - slabLayout(0).sizeBytes) / (slabLayout(1).sizeBytes - slabLayout(0).sizeBytes)
  );
}

/** Makes memory for a slab with at least so many bytes of data. Pages that nobody touched take up none. */
export function slabMemory(dataBytes: number): SharedArrayBuffer {
  const units = unitStep * Math.ceil(dataBytes / unitBytes / unitStep);
  return lastingBuffer(slabLayout(units).sizeBytes);
}

/** Blocks of a slab and the references to them, as every thread sees them. */
export class Slab {
  readonly memory: SharedArrayBuffer;
  readonly units: number;
  readonly #shortages: Int32Array;
  readonly #references: Int32Array;
  readonly #lengths: Int32Array;
  readonly #dataAt: number;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.units = unitsOf(memory.byteLength);
    const { shortages, references, lengths, data } = slabLayout(this.units);
    this.#shortages = new Int32Array(memory, shortages, 1);
    this.#references = new Int32Array(memory, references, this.units);
    this.#lengths = new Int32Array(memory, lengths, this.units);
    this.#dataAt = data;
  }

  /** Offset of a block's bytes in the memory. */
  offsetOf(block: number): number {
    return this.#dataAt + block * unitBytes;
  }

  /** Number of units of a block. */
  lengthOf(block: number): number {
    return Atomics.load(this.#lengths, block);
  }

  isFree(block: number): boolean {
    return Atomics.load(this.#references, block) === 0;
  }

  /** Takes a free block of so many units for the owner. */
  take(block: number, units: number): void {
    Atomics.store(this.#lengths, block, units);
    Atomics.store(this.#references, block, ownersHold);
  }

  /** Ends the owner's hold on a block. Its successor may do that too. */
  drop(block: number): void {
    Atomics.and(this.#references, block, ~ownersHold);
  }

  /** Counts a grant to another thread. The caller holds the block itself. */
  grant(block: number): void {
    Atomics.add(this.#references, block, 1);
  }

  /** Ends a grant. */
  release(block: number): void {
    Atomics.sub(this.#references, block, 1);
  }

  /** Number of times that the owner asked for blocks back. */
  get shortages(): number {
    return Atomics.load(this.#shortages, 0);
  }

  /** Asks all who hold blocks to find out which of them they no longer need. */
  askBack(): void {
    Atomics.add(this.#shortages, 0, 1);
  }
}

/** A block by its slab and its number there, which is that of its first unit. */
export interface SlabBlock {
  readonly slab: Slab;
  readonly block: number;
}

/** Allocator of a slab, for its owner. */
export class SlabAllocator {
  readonly slab: Slab;
  readonly #extents: Extents;
  /** Blocks that were taken and not yet found free again, with their units. */
  readonly #taken = new Map<number, number>();
  #takenSinceSweep = 0;

  /**
   * Becomes the owner of a slab whose last owner is gone, and ends the holds of that one.
   *
   * Grants of the last owner stay with the threads that have them.
   */
  constructor(memory: SharedArrayBuffer) {
    const slab = new Slab(memory);
    this.slab = slab;
    this.#extents = new Extents(slab.units);
    for (let block = 0; block < slab.units; block++) {
      if (slab.isFree(block)) continue;
      slab.drop(block);
      if (slab.isFree(block)) continue;
      const units = slab.lengthOf(block);
      this.#taken.set(block, units);
      this.#extents.takeAt(block, units);
      block += units - 1;
    }
  }

  /** Number of units that were taken and not yet found free again. */
  get unitsTaken(): number {
    return this.#taken.values().reduce((sum, units) => sum + units, 0);
  }

  /** Takes a block of at least so many bytes for the owner; undefined when there is no room. */
  take(byteLength: number): number | undefined {
    const units = Math.max(1, Math.ceil(byteLength / unitBytes));
    if (this.#takenSinceSweep > 64 + this.#taken.size / 2) this.sweep();
    let block = this.#extents.take(units);
    if (block === undefined) {
      this.sweep();
      block = this.#extents.take(units);
      if (block === undefined) return undefined;
    }
    this.#takenSinceSweep++;
    this.#taken.set(block, units);
    this.slab.take(block, units);
    return block;
  }

  /** Frees the blocks that nobody holds any more. */
  sweep(): void {
    this.#takenSinceSweep = 0;
    for (const [block, units] of this.#taken) {
      if (!this.slab.isFree(block)) continue;
      this.#taken.delete(block);
      this.#extents.give(block, units);
    }
  }
}

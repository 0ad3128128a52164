import { lastingBuffer } from '../../src/tensor/memory.ts';
import { Extents } from './extents.ts';
import { ownersHold, slabLayout, unitBytes, unitsOf, unitStep } from './layout.ts';

/** Memory for a slab of at least so many bytes of data; pages that nobody touched take up none. */
export function slabMemory(dataBytes: number): SharedArrayBuffer {
  const units = unitStep * Math.ceil(dataBytes / unitBytes / unitStep);
  return lastingBuffer(slabLayout(units).sizeBytes);
}

/** A slab as every thread sees it: blocks, and who has a hand on them. */
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

  /** Where a block's bytes begin in the memory. */
  offsetOf(block: number): number {
    return this.#dataAt + block * unitBytes;
  }

  /** Units of a block. */
  lengthOf(block: number): number {
    return Atomics.load(this.#lengths, block);
  }

  isFree(block: number): boolean {
    return Atomics.load(this.#references, block) === 0;
  }

  /** The owner takes a free block of so many units. */
  take(block: number, units: number): void {
    Atomics.store(this.#lengths, block, units);
    Atomics.store(this.#references, block, ownersHold);
  }

  /** The owner, or who comes after it, lets go of a block. */
  drop(block: number): void {
    Atomics.and(this.#references, block, ~ownersHold);
  }

  /** Counts a grant to another thread; by who has a hold on the block itself. */
  grant(block: number): void {
    Atomics.add(this.#references, block, 1);
  }

  /** Takes a grant off again. */
  release(block: number): void {
    Atomics.sub(this.#references, block, 1);
  }

  /** How often its owner asked for blocks back. */
  get shortages(): number {
    return Atomics.load(this.#shortages, 0);
  }

  /** The owner asks those who hold blocks to look whether they still need them. */
  askBack(): void {
    Atomics.add(this.#shortages, 0, 1);
  }
}

/** The owner's side of a slab: finds room for blocks and remembers what it took. */
export class SlabAllocator {
  readonly slab: Slab;
  readonly #extents: Extents;
  /** Units of every block that was taken and not yet found free again. */
  readonly #taken = new Map<number, number>();
  #takenSinceSweep = 0;

  /**
   * Becomes the owner of a slab.
   *
   * The last owner's holds end here: it must be gone. What it granted to threads that still have it stays theirs.
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

  /** Units taken and not yet found free again. */
  get unitsTaken(): number {
    return this.#taken.values().reduce((sum, units) => sum + units, 0);
  }

  /** A block of at least so many bytes, held by the owner; undefined when there is no room. */
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

  /** Finds the blocks that nobody holds any more. */
  sweep(): void {
    this.#takenSinceSweep = 0;
    for (const [block, units] of this.#taken) {
      if (!this.slab.isFree(block)) continue;
      this.#taken.delete(block);
      this.#extents.give(block, units);
    }
  }
}

/** Frames that go to another thread without a copy: descriptors of blocks, and the grants behind them. */
import { collectShared, type SharedMemory } from '../../src/tensor/memory.ts';
import { Account, accountWords, endGrant } from '../shared/account.ts';
import { sharedCopy } from '../shared/payload-memory.ts';
import type { PayloadHeap } from '../shared/heap.ts';
import { Slab } from '../shared/slab.ts';

/**
 * Descriptor of a frame on a slab: five f64 in the ring, this array by the port.
 *
 * `slab` counts the slabs that the sender introduced. `place` is the grant's in the sender's account. The frame lies in
 * `block`, at `offset` in the slab's memory.
 */
export type Descriptor = readonly [
  slab: number,
  place: number,
  block: number,
  offset: number,
  byteLength: number,
];

const numbers = 5;

/** Bytes of descriptors, for the ring. */
export function descriptorsOf(frames: readonly (Uint8Array | Descriptor)[]): Uint8Array {
  const flat = new Float64Array(frames.length * numbers);
  frames.forEach((frame, i) => flat.set(frame, i * numbers));
  return new Uint8Array(flat.buffer);
}

/** Descriptors in bytes from the ring. */
export function descriptorsIn(bytes: Uint8Array): Descriptor[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (i: number): number => view.getFloat64(8 * i, true);
  return Array.from({ length: bytes.byteLength / (8 * numbers) }, (_, i) => {
    const first = i * numbers;
    return [at(first), at(first + 1), at(first + 2), at(first + 3), at(first + 4)];
  });
}

/** Frames on slabs that one end of a channel grants to the other, and those that it is granted. */
export class GrantedFrames {
  readonly #heap: PayloadHeap;
  readonly #account: Account;
  /** Words of the grants that this end holds. */
  readonly #holdings: Int32Array;
  /** Slabs that the peer knows, with their numbers. */
  readonly #known = new Map<Slab, number>();
  /** Slabs that the peer introduced, by their numbers. */
  readonly #introduced: Slab[] = [];
  /** Number of shortages of each of those that were heeded. */
  readonly #heeded: number[] = [];

  constructor(
    heap: PayloadHeap,
    memory: SharedMemory,
    ours: { readonly account: number },
    theirs: { readonly account: number },
  ) {
    this.#heap = heap;
    this.#account = new Account(memory, ours.account);
    this.#holdings = accountWords(memory, theirs.account);
  }

  /**
   * Grants the peer the block that a frame lies on; undefined when that is on no slab.
   *
   * A frame for which the account has no room is copied off its slab, and the copy is returned.
   *
   * @param introduce is called with a slab that the peer does not know yet
   */
  grant(
    frame: Uint8Array,
    introduce: (slab: SharedMemory) => void,
  ): Uint8Array | Descriptor | undefined {
    const held = this.#heap.blockOf(frame.buffer);
    if (held === undefined) return undefined;
    const { slab, block } = held;
    const grant = this.#account.grant(slab, block);
    if (grant === undefined) return sharedCopy(frame);
    let number = this.#known.get(slab);
    if (number === undefined) {
      number = this.#known.size;
      this.#known.set(slab, number);
      introduce(slab.memory);
    }
    return [number, grant, block, frame.byteOffset, frame.byteLength];
  }

  /** Notes a slab that the peer's descriptors are going to name. */
  introduce(memory: SharedMemory): void {
    const slab = new Slab(memory);
    this.#introduced.push(slab);
    this.#heeded.push(slab.shortages);
  }

  /** Collects garbage if the owner of a slab has run short of room since the last call. */
  heed(): void {
    let isShort = false;
    for (const [i, { shortages }] of this.#introduced.entries()) {
      if (shortages === this.#heeded[i]) continue;
      this.#heeded[i] = shortages;
      isShort = true;
    }
    if (isShort) collectShared();
  }

  /** True when the slab of a descriptor was introduced. */
  knows([slab]: Descriptor): boolean {
    return slab < this.#introduced.length;
  }

  /** The frame of a descriptor whose slab is known. Its grant ends when nothing of it can be reached any more. */
  adopt([number, place, block, offset, byteLength]: Descriptor): Uint8Array {
    const slab = this.#introduced[number]!;
    const holdings = this.#holdings;
    const release = (): void => endGrant(holdings, place, { slab, block });
    return new Uint8Array(this.#heap.adopt({ slab, block }, release), offset, byteLength);
  }

  /** Takes back all that the peer was granted. Its thread must have ended. */
  reclaim(): void {
    this.#account.reclaim();
  }
}

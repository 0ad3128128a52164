/** Bytes that tensors begin at multiples of. */
const ALIGNMENT = 64;
/** Smallest slab, in bytes. */
const SLAB_BYTES = 8 * 2 ** 20;

/** How far slabs were used at some moment. */
export interface SlabMark {
  readonly slab: number;
  readonly used: number;
}

/** Some bytes of a slab. */
export interface Cut<Slab> {
  readonly slab: Slab;
  readonly byteOffset: number;
}

/**
 * Memory that is cut from slabs one piece after the other and all given back together, so that pass after pass runs in
 * the same memory.
 *
 * A pass that needs more than any before it gets more slabs, and the next one a single slab as large as all of them:
 * tensors whose sizes change from pass to pass would not fit into many small ones.
 */
export class Slabs<Slab extends { readonly byteLength: number }> {
  readonly #make: (byteLength: number) => Slab;
  readonly #drop: (slab: Slab) => void;
  readonly #slabs: Slab[] = [];
  #slab = 0;
  #used = 0;
  /** Size of the first slab, when there is none, in bytes. */
  #firstBytes = SLAB_BYTES;

  /** @param drop gives a slab's memory back, where nobody else does */
  constructor(make: (byteLength: number) => Slab, drop: (slab: Slab) => void = () => undefined) {
    this.#make = make;
    this.#drop = drop;
  }

  /** Uninitialised bytes, valid until `reset`, or `release` of an earlier mark. */
  take(byteLength: number): Cut<Slab> {
    const bytes = Math.ceil(Math.max(1, byteLength) / ALIGNMENT) * ALIGNMENT;
    const slab = this.#slabWith(bytes);
    const byteOffset = this.#used;
    this.#used += bytes;
    return { slab, byteOffset };
  }

  /** A point to `release` to. */
  mark(): SlabMark {
    return { slab: this.#slab, used: this.#used };
  }

  /** Gives back what was taken since the mark. */
  release(mark: SlabMark): void {
    this.#slab = mark.slab;
    this.#used = mark.used;
  }

  /** Gives everything back; what was taken before must no longer be used. */
  reset(): void {
    this.#slab = 0;
    this.#used = 0;
    if (this.#slabs.length < 2) return;
    this.#firstBytes = this.sizeBytes;
    this.#dropFrom(0);
  }

  /** Lets go of all memory. */
  clear(): void {
    this.#slab = 0;
    this.#used = 0;
    this.#dropFrom(0);
  }

  /** Bytes held in slabs. */
  get sizeBytes(): number {
    return this.#slabs.reduce((sum, slab) => sum + slab.byteLength, 0);
  }

  /** The slab to go on with, which has room for so many bytes. */
  #slabWith(bytes: number): Slab {
    const slab = this.#slabs[this.#slab];
    if (slab !== undefined && this.#used + bytes <= slab.byteLength) return slab;
    if (slab !== undefined) this.#slab++;
    this.#used = 0;
    const next = this.#slabs[this.#slab];
    if (next !== undefined && bytes <= next.byteLength) return next;
    // those behind hold nothing, and one more as small would be of as little use
    this.#dropFrom(this.#slab);
    const least = this.#slab === 0 ? this.#firstBytes : Math.ceil(this.sizeBytes / 4);
    const grown = this.#make(Math.max(bytes, least, SLAB_BYTES));
    this.#slabs.push(grown);
    return grown;
  }

  #dropFrom(start: number): void {
    for (const slab of this.#slabs.splice(start)) this.#drop(slab);
  }
}

import type { DType } from '../tensor/dtype.ts';
import { byteLengthOf, type Tensor } from '../tensor/tensor.ts';
import type { View, Workspace } from './device.ts';

/** Alignment of tensors, in bytes. */
const ALIGNMENT = 64;
/** Smallest slab, in bytes. */
const SLAB_BYTES = 8 * 2 ** 20;

/** A point in the use of the slabs. */
interface Position {
  readonly slab: number;
  readonly used: number;
  readonly cutBytes: number;
}

const START: Position = { slab: 0, used: 0, cutBytes: 0 };

/** A piece of a slab. */
export interface Cut<Slab> {
  readonly slab: Slab;
  readonly byteOffset: number;
}

/**
 * A workspace whose tensors are cut from slabs of a device's memory, one after the other.
 *
 * A pass that needs more than any before it gets more slabs. At the next reset they give way to a single slab as large
 * as all of them, since tensors whose sizes change from pass to pass would not fit into many small ones.
 */
export abstract class SlabWorkspace<
  Slab extends { readonly byteLength: number },
> implements Workspace {
  readonly #slabs: Slab[] = [];
  /** Number of the slab in use. */
  #slab = 0;
  /** Bytes of that slab in use. */
  #used = 0;
  /** Bytes of all tensors since the last reset. */
  #cutBytes = 0;
  /** Size of the next first slab, in bytes. */
  #firstBytes = SLAB_BYTES;

  abstract take<D extends DType>(dtype: D, shape: readonly number[]): View<D>;

  abstract put<D extends DType>(tensor: Tensor<D>): View<D>;

  protected abstract allocateSlab(byteLength: number): Slab;

  protected abstract freeSlab(slab: Slab): void;

  /** Memory for a tensor. */
  protected cut(dtype: DType, shape: readonly number[]): Cut<Slab> {
    const bytes = Math.ceil(Math.max(1, byteLengthOf({ dtype, shape })) / ALIGNMENT) * ALIGNMENT;
    const slab = this.#slabWith(bytes);
    const byteOffset = this.#used;
    this.#used += bytes;
    this.#cutBytes += bytes;
    return { slab, byteOffset };
  }

  scope(): Disposable {
    const start = { slab: this.#slab, used: this.#used, cutBytes: this.#cutBytes };
    return {
      [Symbol.dispose]: () => {
        this.#goBackTo(start);
      },
    };
  }

  #goBackTo({ slab, used, cutBytes }: Position): void {
    this.#slab = slab;
    this.#used = used;
    this.#cutBytes = cutBytes;
  }

  reset(): void {
    this.#goBackTo(START);
    if (this.#slabs.length < 2) return;
    this.#firstBytes = this.sizeBytes;
    this.#freeFrom(0);
  }

  /** Bytes of the tensors that were taken since the last reset, less those given back by scopes. */
  protected get cutBytes(): number {
    return this.#cutBytes;
  }

  get sizeBytes(): number {
    return this.#slabs.reduce((sum, slab) => sum + slab.byteLength, 0);
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  /** Gives every tensor and all memory back. */
  protected clear(): void {
    this.#goBackTo(START);
    this.#firstBytes = SLAB_BYTES;
    this.#freeFrom(0);
  }

  /** The slab to go on with, which has room for so many bytes. */
  #slabWith(bytes: number): Slab {
    const slab = this.#slabs[this.#slab];
    if (slab !== undefined && this.#used + bytes <= slab.byteLength) return slab;
    if (slab !== undefined) this.#slab++;
    this.#used = 0;
    const next = this.#slabs[this.#slab];
    if (next !== undefined && bytes <= next.byteLength) return next;
    // The slabs behind are in use by nobody, and another one as small would be of little use.
    this.#freeFrom(this.#slab);
    const least = this.#slab === 0 ? this.#firstBytes : Math.ceil(this.sizeBytes / 4);
    const grown = this.allocateSlab(Math.max(bytes, least, SLAB_BYTES));
    this.#slabs.push(grown);
    return grown;
  }

  #freeFrom(start: number): void {
    for (const slab of this.#slabs.splice(start)) this.freeSlab(slab);
  }
}

import type { DType } from '../tensor/dtype.ts';
import { byteLengthOf, type Tensor } from '../tensor/tensor.ts';
import type { View, Workspace } from './device.ts';

/** Alignment of tensors, in bytes. */
const ALIGNMENT = 64;
/** Smallest slab, in bytes. */
const SLAB_BYTES = 8 * 2 ** 20;

/** A point in the use of the slabs. */
interface Position {
  /** Number of the slab in use. */
  readonly slab: number;
  /** Bytes of that slab in use. */
  readonly used: number;
  /** Bytes of all tensors since the last reset. */
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
  #at = START;
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
    const { slab: number, used, cutBytes } = this.#at;
    this.#at = { slab: number, used: used + bytes, cutBytes: cutBytes + bytes };
    return { slab, byteOffset: used };
  }

  scope(): Disposable {
    const start = this.#at;
    return {
      [Symbol.dispose]: () => {
        this.#at = start;
      },
    };
  }

  reset(): void {
    this.#at = START;
    if (this.#slabs.length < 2) return;
    this.#firstBytes = this.sizeBytes;
    this.#freeFrom(0);
  }

  /** Bytes of the tensors that were taken since the last reset, less those given back by scopes. */
  protected get cutBytes(): number {
    return this.#at.cutBytes;
  }

  get sizeBytes(): number {
    return this.#slabs.reduce((sum, slab) => sum + slab.byteLength, 0);
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  /** Gives every tensor and all memory back. */
  protected clear(): void {
    this.#at = START;
    this.#firstBytes = SLAB_BYTES;
    this.#freeFrom(0);
  }

  /** The slab to continue in, which has room for `bytes` more bytes. */
  #slabWith(bytes: number): Slab {
    const { slab: number, used, cutBytes } = this.#at;
    const slab = this.#slabs[number];
    if (slab !== undefined && used + bytes <= slab.byteLength) return slab;
    const following = slab === undefined ? number : number + 1;
    this.#at = { slab: following, used: 0, cutBytes };
    const next = this.#slabs[following];
    if (next !== undefined && bytes <= next.byteLength) return next;
    // The slabs after it are in use by nobody, and another one as small would be of little use.
    this.#freeFrom(following);
    const least = following === 0 ? this.#firstBytes : Math.ceil(this.sizeBytes / 4);
    const grown = this.allocateSlab(Math.max(bytes, least, SLAB_BYTES));
    this.#slabs.push(grown);
    return grown;
  }

  #freeFrom(start: number): void {
    for (const slab of this.#slabs.splice(start)) this.freeSlab(slab);
  }
}

import { bytesPerElement, viewOf, type DType } from './dtype.ts';
import { sharedBuffer } from './memory.ts';
import { sizeOf, type Tensor } from './tensor.ts';

const ALIGNMENT = 64;
/** Of a slab at least. */
const SLAB_BYTES = 8 * 2 ** 20;

/** How far a workspace was used at some moment. */
export interface WorkspaceMark {
  readonly slab: number;
  readonly used: number;
}

/**
 * Memory for one pass over a model: tensors are cut from a shared slab one after the other and all given
 * back together by `reset`, so that step after step runs in the same memory.
 *
 * A pass that needs more than any before it gets more slabs, and the next one a single slab as large as all of them:
 * tensors whose sizes change from pass to pass would not fit into many small ones.
 *
 * A tensor's contents are whatever was there before; write before you read.
 */
export class Workspace {
  readonly #slabs: SharedArrayBuffer[] = [];
  #slab = 0;
  #used = 0;
  /** Of the first slab, when there is none. */
  #firstBytes = SLAB_BYTES;

  /** An uninitialised tensor, valid until `reset`. */
  take<D extends DType>(dtype: D, shape: readonly number[]): Tensor<D> {
    const length = sizeOf(shape);
    const bytes = Math.ceil((Math.max(1, length) * bytesPerElement(dtype)) / ALIGNMENT) * ALIGNMENT;
    const data = viewOf(dtype, this.#slabWith(bytes), this.#used, length);
    this.#used += bytes;
    return { dtype, shape, data };
  }

  /** A point to `release` to. */
  mark(): WorkspaceMark {
    return { slab: this.#slab, used: this.#used };
  }

  /** Gives back the tensors taken since the mark. */
  release(mark: WorkspaceMark): void {
    this.#slab = mark.slab;
    this.#used = mark.used;
  }

  /** Gives every tensor back; those taken before must no longer be used. */
  reset(): void {
    this.#slab = 0;
    this.#used = 0;
    if (this.#slabs.length < 2) return;
    this.#firstBytes = this.sizeBytes;
    this.#slabs.length = 0;
  }

  /** Bytes held in slabs. */
  get sizeBytes(): number {
    return this.#slabs.reduce((sum, slab) => sum + slab.byteLength, 0);
  }

  /** The slab to go on with, which has room for so many bytes. */
  #slabWith(bytes: number): SharedArrayBuffer {
    const slab = this.#slabs[this.#slab];
    if (slab !== undefined && this.#used + bytes <= slab.byteLength) return slab;
    if (slab !== undefined) this.#slab++;
    this.#used = 0;
    const next = this.#slabs[this.#slab];
    if (next !== undefined && bytes <= next.byteLength) return next;
    // those behind hold nothing, and one more as small would be of as little use
    this.#slabs.length = this.#slab;
    const least = this.#slab === 0 ? this.#firstBytes : Math.ceil(this.sizeBytes / 4);
    const grown = sharedBuffer(Math.max(bytes, least, SLAB_BYTES));
    this.#slabs.push(grown);
    return grown;
  }
}

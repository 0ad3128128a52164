import { bytesPerElement, viewOf, type DType } from './dtype.ts';
import { sharedBuffer } from './memory.ts';
import { sizeOf, type Tensor } from './tensor.ts';

const ALIGNMENT = 64;
const SLAB_BYTES = 8 * 2 ** 20;

/** How far a workspace was used at some moment. */
export interface WorkspaceMark {
  readonly slab: number;
  readonly used: number;
}

/**
 * Memory for one pass over a model: tensors are cut from shared slabs one after the other and all given
 * back together by `reset`, so that step after step runs in the same memory.
 *
 * A tensor's contents are whatever was there before; write before you read.
 */
export class Workspace {
  readonly #slabs: SharedArrayBuffer[] = [];
  #slab = 0;
  #used = 0;

  /** An uninitialised tensor, valid until `reset`. */
  take<D extends DType>(dtype: D, shape: readonly number[]): Tensor<D> {
    const length = sizeOf(shape);
    const bytes = Math.ceil((Math.max(1, length) * bytesPerElement(dtype)) / ALIGNMENT) * ALIGNMENT;
    while (
      this.#slab < this.#slabs.length &&
      this.#used + bytes > this.#slabs[this.#slab]!.byteLength
    ) {
      this.#slab++;
      this.#used = 0;
    }
    if (this.#slab === this.#slabs.length) {
      this.#slabs.push(sharedBuffer(Math.max(bytes, SLAB_BYTES)));
      this.#used = 0;
    }
    const data = viewOf(dtype, this.#slabs[this.#slab]!, this.#used, length);
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
  }

  /** Bytes held in slabs. */
  get sizeBytes(): number {
    return this.#slabs.reduce((sum, slab) => sum + slab.byteLength, 0);
  }
}

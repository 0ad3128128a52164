import { bytesPerElement, type DType } from '../tensor/dtype.ts';
import { sizeOf, type Tensor } from '../tensor/tensor.ts';
import type { View, Workspace, WorkspaceMark } from './device.ts';
import { Slabs, type Cut, type SlabMark } from './slabs.ts';

/** A workspace whose tensors are cut from slabs of a device's memory. */
export abstract class SlabWorkspace<
  Slab extends { readonly byteLength: number },
> implements Workspace {
  readonly #slabs: Slabs<Slab>;

  constructor(slabs: Slabs<Slab>) {
    this.#slabs = slabs;
  }

  abstract take<D extends DType>(dtype: D, shape: readonly number[]): View<D>;

  abstract put<D extends DType>(tensor: Tensor<D>): View<D>;

  /** Memory for a tensor. */
  protected cut(dtype: DType, shape: readonly number[]): Cut<Slab> {
    return this.#slabs.take(sizeOf(shape) * bytesPerElement(dtype));
  }

  mark(): WorkspaceMark {
    return this.#slabs.mark();
  }

  release(mark: WorkspaceMark): void {
    this.#slabs.release(mark as SlabMark);
  }

  reset(): void {
    this.#slabs.reset();
  }

  get sizeBytes(): number {
    return this.#slabs.sizeBytes;
  }

  [Symbol.dispose](): void {
    this.#slabs.clear();
  }
}

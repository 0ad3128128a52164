import { bytesPerElement, viewOf, type DType } from '../../tensor/dtype.ts';
import { discardBuffer, sharedBuffer } from '../../tensor/memory.ts';
import { sizeOf, type Tensor } from '../../tensor/tensor.ts';
import type { Device, Workspace, WorkspaceMark } from '../device.ts';
import { Slabs, type SlabMark } from '../slabs.ts';
import { hostView, type HostView } from './host-view.ts';

/** A workspace whose tensors are cut from slabs of this process's memory. */
export class CpuWorkspace implements Workspace {
  readonly #device: Device;
  readonly #slabs = new Slabs(sharedBuffer, discardBuffer);

  constructor(device: Device) {
    this.#device = device;
  }

  take<D extends DType>(dtype: D, shape: readonly number[]): HostView<D> {
    const length = sizeOf(shape);
    const { slab, byteOffset } = this.#slabs.take(length * bytesPerElement(dtype));
    const data = viewOf(dtype, slab, byteOffset, length);
    return hostView(this.#device, { dtype, shape, data });
  }

  put<D extends DType>(tensor: Tensor<D>): HostView<D> {
    return hostView(this.#device, tensor);
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

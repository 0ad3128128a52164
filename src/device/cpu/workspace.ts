import type { DType } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { Workspace as Slabs, type WorkspaceMark as SlabMark } from '../../tensor/workspace.ts';
import type { Device, Workspace, WorkspaceMark } from '../device.ts';
import { hostView, type HostView } from './host-view.ts';

/** A workspace whose tensors are cut from slabs of this process's memory. */
export class CpuWorkspace implements Workspace {
  readonly #device: Device;
  readonly #slabs = new Slabs();

  constructor(device: Device) {
    this.#device = device;
  }

  take<D extends DType>(dtype: D, shape: readonly number[]): HostView<D> {
    return hostView(this.#device, this.#slabs.take(dtype, shape));
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
    this.#slabs.reset();
  }
}

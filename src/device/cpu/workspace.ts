import { viewOf, type DType } from '../../tensor/dtype.ts';
import { discardBuffer, sharedBuffer, type SharedMemory } from '../../tensor/memory.ts';
import { sizeOf, type Tensor } from '../../tensor/tensor.ts';
import type { Device } from '../device.ts';
import { SlabWorkspace } from '../slab-workspace.ts';
import { hostView, type HostView } from './host-view.ts';

/** A workspace in this process's memory. It takes the host's tensors as they are. */
export class CpuWorkspace extends SlabWorkspace<SharedMemory> {
  readonly #device: Device;

  constructor(device: Device) {
    super();
    this.#device = device;
  }

  take<D extends DType>(dtype: D, shape: readonly number[]): HostView<D> {
    const { slab, byteOffset } = this.cut(dtype, shape);
    const data = viewOf(dtype, slab, byteOffset, sizeOf(shape));
    return hostView(this.#device, { dtype, shape, data });
  }

  put<D extends DType>(tensor: Tensor<D>): HostView<D> {
    return hostView(this.#device, tensor);
  }

  protected allocateSlab(byteLength: number): SharedMemory {
    return sharedBuffer(byteLength);
  }

  protected freeSlab(slab: SharedMemory): void {
    discardBuffer(slab);
  }
}

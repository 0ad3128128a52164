import { bytesPerElement, type DType } from '../../tensor/dtype.ts';
import { sizeOf, type Tensor } from '../../tensor/tensor.ts';
import type { Device, Workspace, WorkspaceMark } from '../device.ts';
import { Slabs, type SlabMark } from '../slabs.ts';
import type { Cudart } from './cudart.ts';
import { cudaView, type CudaView } from './view.ts';

interface CudaSlab {
  readonly address: bigint;
  readonly byteLength: number;
}

/** A workspace whose tensors are cut from slabs of a card's memory. */
export class CudaWorkspace implements Workspace {
  readonly #device: Device;
  readonly #slabs: Slabs<CudaSlab>;

  constructor(device: Device, cudart: Cudart) {
    this.#device = device;
    this.#slabs = new Slabs(
      (byteLength): CudaSlab => ({ address: cudart.allocate(byteLength), byteLength }),
      ({ address }) => {
        cudart.free(address);
      },
    );
  }

  take<D extends DType>(dtype: D, shape: readonly number[]): CudaView<D> {
    const { slab, byteOffset } = this.#slabs.take(sizeOf(shape) * bytesPerElement(dtype));
    return cudaView(this.#device, dtype, shape, slab.address + BigInt(byteOffset));
  }

  put<D extends DType>(tensor: Tensor<D>): CudaView<D> {
    const view = this.take(tensor.dtype, tensor.shape);
    this.#device.upload(tensor, view);
    return view;
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

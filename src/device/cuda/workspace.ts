import type { DType } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Device } from '../device.ts';
import { SlabWorkspace } from '../slab-workspace.ts';
import { Slabs } from '../slabs.ts';
import type { Cudart } from './cudart.ts';
import { cudaView, type CudaView } from './view.ts';

interface CudaSlab {
  readonly address: bigint;
  readonly byteLength: number;
}

/** A workspace in a card's memory, into which tensors of the host's are copied. */
export class CudaWorkspace extends SlabWorkspace<CudaSlab> {
  readonly #device: Device;

  constructor(device: Device, cudart: Cudart) {
    super(
      new Slabs(
        (byteLength): CudaSlab => ({ address: cudart.allocate(byteLength), byteLength }),
        ({ address }) => {
          cudart.free(address);
        },
      ),
    );
    this.#device = device;
  }

  take<D extends DType>(dtype: D, shape: readonly number[]): CudaView<D> {
    const { slab, byteOffset } = this.cut(dtype, shape);
    return cudaView(this.#device, dtype, shape, slab.address + BigInt(byteOffset));
  }

  put<D extends DType>(tensor: Tensor<D>): CudaView<D> {
    const view = this.take(tensor.dtype, tensor.shape);
    this.#device.upload(tensor, view);
    return view;
  }
}

import type { DType } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Device } from '../device.ts';
import { SlabWorkspace } from '../slab-workspace.ts';
import type { Cudart } from './cudart.ts';
import { cudaView, type CudaView } from './view.ts';

/** A slab of a card's memory. */
interface CudaSlab {
  readonly address: bigint;
  readonly byteLength: number;
}

/** A workspace in a card's memory. It copies the host's tensors. */
export class CudaWorkspace extends SlabWorkspace<CudaSlab> {
  readonly #device: Device;
  readonly #cudart: Cudart;

  constructor(device: Device, cudart: Cudart) {
    super();
    this.#device = device;
    this.#cudart = cudart;
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

  protected allocateSlab(byteLength: number): CudaSlab {
    return { address: this.#cudart.allocate(byteLength), byteLength };
  }

  protected freeSlab({ address }: CudaSlab): void {
    this.#cudart.free(address);
  }
}

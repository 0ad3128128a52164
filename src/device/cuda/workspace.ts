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
  readonly #onDispose: () => void;
  /** True if a recording works in this memory, which it must find in its place. */
  #isRecorded = false;

  constructor(device: Device, cudart: Cudart, onDispose: () => void) {
    super();
    this.#device = device;
    this.#cudart = cudart;
    this.#onDispose = onDispose;
  }

  take<D extends DType>(dtype: D, shape: readonly number[]): CudaView<D> {
    this.#isRecorded ||= this.#cudart.isCapturing;
    const { slab, byteOffset } = this.cut(dtype, shape);
    return cudaView(this.#device, dtype, shape, slab.address + BigInt(byteOffset));
  }

  put<D extends DType>(tensor: Tensor<D>): CudaView<D> {
    const view = this.take(tensor.dtype, tensor.shape);
    this.#device.upload(tensor, view);
    return view;
  }

  /** Gives every tensor and all memory back, unless a recording works in it. */
  trim(): void {
    if (!this.#isRecorded) this.clear();
  }

  protected allocateSlab(byteLength: number): CudaSlab {
    return { address: this.#cudart.allocate(byteLength), byteLength };
  }

  protected freeSlab({ address }: CudaSlab): void {
    this.#cudart.free(address);
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#onDispose();
  }
}

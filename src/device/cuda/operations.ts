import { byteLengthOf } from '../../tensor/tensor.ts';
import type { Device, View } from '../device.ts';
import { ProgramOperations } from '../program-operations.ts';
import type { Cudart } from './cudart.ts';
import { deviceAddressOf } from './view.ts';

/** Operations on a card: CUDA's own fills and copies, and programs for the rest. */
export class CudaOperations extends ProgramOperations {
  readonly #cudart: Cudart;

  constructor(device: Device, cudart: Cudart) {
    super(device);
    this.#cudart = cudart;
  }

  override zero(target: View): void {
    this.#cudart.zero(deviceAddressOf(target), byteLengthOf(target));
  }

  override copy(from: View, to: View): void {
    if (from.dtype !== to.dtype) {
      super.copy(from, to);
      return;
    }
    const bytes = byteLengthOf(from);
    if (bytes > 0)
      this.#cudart.copy(deviceAddressOf(from), deviceAddressOf(to), bytes, 'deviceToDevice');
  }
}

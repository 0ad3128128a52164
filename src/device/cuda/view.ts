import { CxmindError } from '../../errors.ts';
import type { DeviceMemory } from '../../ort/device-memory.ts';
import type { DeviceTensor } from '../../ort/device-tensor.ts';
import { bytesPerElement, type DType } from '../../tensor/dtype.ts';
import { sizeOf } from '../../tensor/tensor.ts';
import type { Device, View } from '../device.ts';

/** A tensor at an address of a card. */
export interface CudaView<D extends DType = DType> extends View<D> {
  readonly address: bigint;
}

export function cudaView<D extends DType>(
  device: Device,
  dtype: D,
  shape: readonly number[],
  address: bigint,
): CudaView<D> {
  return { device, dtype, shape, address };
}

/**
 * Where a view lies.
 *
 * @throws INTERNAL for a view of another device
 */
export function addressOf(view: View): bigint {
  if ('address' in view && typeof view.address === 'bigint') return view.address;
  throw new CxmindError('INTERNAL', `a tensor on ${view.device.name} is not on a CUDA card`);
}

/** Bytes of a view. */
export function byteLengthOf({ dtype, shape }: View): number {
  return sizeOf(shape) * bytesPerElement(dtype);
}

/** What a binding takes for a view. */
export function deviceTensor(memory: DeviceMemory, view: View): DeviceTensor {
  const { dtype, shape } = view;
  return { dtype, shape, address: addressOf(view), byteLength: byteLengthOf(view), memory };
}

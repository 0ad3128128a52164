import { CxmindError } from '../../errors.ts';
import type { DeviceAllocator } from '../../ort/device-allocator.ts';
import type { DeviceTensor } from '../../ort/device-tensor.ts';
import type { DType } from '../../tensor/dtype.ts';
import { byteLengthOf } from '../../tensor/tensor.ts';
import type { Device, View } from '../device.ts';

/** A tensor at an address of a card. */
export interface CudaView<D extends DType = DType> extends View<D> {
  readonly address: bigint;
}

/** A view of an address. */
export function cudaView<D extends DType>(
  device: Device,
  dtype: D,
  shape: readonly number[],
  address: bigint,
): CudaView<D> {
  return { device, dtype, shape, address };
}

/**
 * The address of a view.
 *
 * @throws INTERNAL for a view of another device
 */
export function deviceAddressOf(view: View): bigint {
  if ('address' in view && typeof view.address === 'bigint') return view.address;
  throw new CxmindError('INTERNAL', `a tensor on ${view.device.name} is not on a CUDA card`);
}

/** The tensor that a binding takes for a view. */
export function deviceTensor(memory: DeviceAllocator, view: View): DeviceTensor {
  const { dtype, shape } = view;
  return { dtype, shape, address: deviceAddressOf(view), byteLength: byteLengthOf(view), memory };
}

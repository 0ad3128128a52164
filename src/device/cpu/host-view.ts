import { CxmindError } from '../../errors.ts';
import type { DType } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Device, View } from '../device.ts';

/** A tensor of this process's memory as a view of the same elements. */
export interface HostView<D extends DType = DType> extends View<D>, Tensor<D> {}

/** Makes a view of a tensor, on a device that computes in this process's memory. */
export function hostView<D extends DType>(device: Device, tensor: Tensor<D>): HostView<D> {
  const { dtype, shape, data } = tensor;
  return { device, dtype, shape, data };
}

/**
 * The tensor of a view, which is the view itself.
 *
 * @throws INTERNAL for a view of a device with memory of its own
 */
export function hostTensor<D extends DType>(view: View<D>): Tensor<D> {
  if ('data' in view) return view as HostView<D>;
  throw new CxmindError('INTERNAL', `a tensor on ${view.device.name} has no data on the host`);
}

import { CxmindError } from '../../errors.ts';
import type { DType } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Device, View } from '../device.ts';

/** A tensor of this process's memory as a view; the same elements, no copy. */
export interface HostView<D extends DType = DType> extends View<D>, Tensor<D> {}

/** A tensor as a view of a device that computes in this process's memory. */
export function hostView<D extends DType>(device: Device, tensor: Tensor<D>): HostView<D> {
  const { dtype, shape, data } = tensor;
  return { device, dtype, shape, data };
}

/**
 * The tensor that a view is.
 *
 * @throws INTERNAL for a view of a device with memory of its own
 */
export function hostTensor<D extends DType>(view: View<D>): Tensor<D> {
  if (isHostView(view)) return view;
  throw new CxmindError('INTERNAL', `a tensor on ${view.device.name} has no data on the host`);
}

function isHostView<D extends DType>(view: View<D>): view is HostView<D> {
  return 'data' in view;
}

/** Tensors without numbers, which devices that compute nothing take and give. */
import type { Device, View } from '../../device/device.ts';
import type { DType } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** A tensor that is not computed: a dtype and a shape, and the host's tensor where it came from one. */
export interface CountedView<D extends DType = DType> extends View<D> {
  readonly tensor: Tensor<D> | null;
}

/** Makes a view without numbers. */
export function countedView<D extends DType>(
  device: Device,
  dtype: D,
  shape: readonly number[],
): CountedView<D> {
  return { device, dtype, shape, tensor: null };
}

/** Pairs of tokens that see each other, by a tensor `sees i32 [T, 4]` of runs of places; 0 without one. */
export function pairsIn(view: CountedView | undefined): number {
  const data = view?.tensor?.data as Int32Array | undefined;
  if (data === undefined) return 0;
  let pairs = 0;
  for (let i = 0; i < data.length; i += 2) pairs += data[i + 1]! - data[i]!;
  return pairs;
}

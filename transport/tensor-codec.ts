/** Codecs of tensors for protocols. They check headers; `codec.ts` turns tensors into bytes. */
import type * as t from 'io-ts';
import { guarded } from '../src/check/scalars.ts';
import { isDType, type DType } from '../src/tensor/dtype.ts';
import { sizeOf, type Tensor } from '../src/tensor/tensor.ts';

/** True when a value has exactly the three fields of a tensor, each of its kind. */
export function isTensor(value: object): value is Tensor {
  const { dtype, shape, data } = value as Partial<Record<keyof Tensor, unknown>>;
  return (
    isDType(dtype) &&
    Array.isArray(shape) &&
    ArrayBuffer.isView(data) &&
    Object.keys(value).length === 3
  );
}

/**
 * Makes the codec of tensors of one dtype and rank. It checks their headers and reads no element.
 *
 * @param axes one name for each axis, as in `['B', 'T']`; errors show them, and their number is the rank
 */
export function tensor<D extends DType>(dtype: D, axes: readonly string[]): t.Type<Tensor<D>> {
  const name = `${dtype} [${axes.join(', ')}]`;
  const is = (value: unknown): value is Tensor<D> =>
    typeof value === 'object' &&
    value !== null &&
    isTensor(value) &&
    value.dtype === dtype &&
    value.shape.length === axes.length &&
    sizeOf(value.shape) === value.data.length;
  return guarded(name, is);
}

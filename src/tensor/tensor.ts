import { CxmindError } from '../errors.ts';
import { bytesPerElement, viewOf, type DType, type TypedArrays } from './dtype.ts';
import { sharedBuffer } from './memory.ts';

/** A dense row-major tensor: plain data, so it crosses a thread as it is. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: TypedArrays[D];
}

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Zeros on a SharedArrayBuffer of their own, so that threads and native code may read them in place. */
export function zeros<D extends DType>(dtype: D, shape: readonly number[]): Tensor<D> {
  const length = sizeOf(shape);
  const buffer = sharedBuffer(Math.max(1, length) * bytesPerElement(dtype));
  return { dtype, shape, data: viewOf(dtype, buffer, 0, length) };
}

/** A tensor of the given numbers on a SharedArrayBuffer of its own. */
export function tensorOf<D extends DType>(
  dtype: D,
  shape: readonly number[],
  values: ArrayLike<number> | ArrayLike<bigint>,
): Tensor<D> {
  const result = zeros(dtype, shape);
  if (values.length !== result.data.length) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `tensorOf: shape [${shape.join(', ')}] wants ${result.data.length} values, got ${values.length}`,
    );
  }
  if (dtype === 'i64') {
    const data = result.data as BigInt64Array;
    for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i]!);
  } else {
    (result.data as Float32Array).set(values as ArrayLike<number>);
  }
  return result;
}

/** The same elements under another shape of equal size; no copy. */
export function reshaped<D extends DType>(tensor: Tensor<D>, shape: readonly number[]): Tensor<D> {
  if (sizeOf(shape) !== sizeOf(tensor.shape)) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `reshaped: [${tensor.shape.join(', ')}] does not hold [${shape.join(', ')}]`,
    );
  }
  return { ...tensor, shape };
}

/** Rows `start` to `end` along the first axis; no copy. */
export function rows<D extends DType>(tensor: Tensor<D>, start: number, end: number): Tensor<D> {
  const [count = 0, ...rest] = tensor.shape;
  if (start < 0 || end < start || end > count) {
    throw new CxmindError('SHAPE_MISMATCH', `rows: ${start}..${end} of ${count} rows`);
  }
  const width = sizeOf(rest);
  const data = tensor.data.subarray(start * width, end * width) as TypedArrays[D];
  return { dtype: tensor.dtype, shape: [end - start, ...rest], data };
}

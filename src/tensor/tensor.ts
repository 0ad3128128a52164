import { CxmindError } from '../errors.ts';
import { bytesPerElement, numberToBf16, viewOf, type DType, type TypedArrays } from './dtype.ts';
import { sharedBuffer, type MakeShared } from './memory.ts';

/** A dense row-major tensor: plain data, so it crosses a thread as it is. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: TypedArrays[D];
}

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** Memory for a tensor, whatever it held before. */
export type Allocate = <D extends DType>(dtype: D, shape: readonly number[]) => Tensor<D>;

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/**
 * Zeros in shared memory of their own, so that threads and native code may read them in place.
 *
 * @param memory makes the buffer, of zeros; `fileBuffer` for one that lies in a file
 */
export function zeros<D extends DType>(
  dtype: D,
  shape: readonly number[],
  memory: MakeShared = sharedBuffer,
): Tensor<D> {
  const length = sizeOf(shape);
  const buffer = memory(Math.max(1, length) * bytesPerElement(dtype));
  return { dtype, shape, data: viewOf(dtype, buffer, 0, length) };
}

/**
 * A tensor of the given numbers, each rounded to the dtype's nearest, in shared memory of its own.
 *
 * @throws SHAPE_MISMATCH when the shape wants another number of them
 */
export function tensorOf<D extends DType>(
  dtype: D,
  shape: readonly number[],
  numbers: ArrayLike<number> | ArrayLike<bigint>,
): Tensor<D> {
  const result = zeros(dtype, shape);
  if (numbers.length !== result.data.length) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `tensorOf: shape [${shape.join(', ')}] wants ${result.data.length} values, got ${numbers.length}`,
    );
  }
  if (dtype === 'i64') {
    const data = result.data as BigInt64Array;
    for (let i = 0; i < numbers.length; i++) data[i] = BigInt(numbers[i]!);
  } else if (dtype === 'bf16') {
    const bits = result.data as Uint16Array;
    for (let i = 0; i < numbers.length; i++) bits[i] = numberToBf16(Number(numbers[i]!));
  } else {
    (result.data as Float32Array).set(numbers as ArrayLike<number>);
  }
  return result;
}

/** Copies all elements of a tensor into another of its dtype and size. */
export function copyElements(from: Tensor, to: Tensor): void {
  if (from.dtype !== to.dtype || from.data.length !== to.data.length) {
    const form = ({ dtype, shape }: Tensor): string => `${dtype} [${shape.join(', ')}]`;
    throw new CxmindError('SHAPE_MISMATCH', `copyElements: ${form(from)} into ${form(to)}`);
  }
  const bytes = ({ data }: Tensor): Uint8Array =>
    viewOf('u8', data.buffer, data.byteOffset, data.byteLength);
  bytes(to).set(bytes(from));
}

/** The same elements under another shape of equal size; no copy. */
export function reshaped<T extends Pick<Tensor, 'shape'>>(tensor: T, shape: readonly number[]): T {
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

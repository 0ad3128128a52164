/** Tensors as plain data, and the functions that make, measure, copy and reshape them. */
import { CxmindError } from '../errors.ts';
import { bytesOf, bytesPerElement, numberToBf16, viewOf } from './dtype.ts';
import type { DType, TypedArrays } from './dtype.ts';
import { sharedBuffer, type MakeShared } from './memory.ts';

/** A dense row-major tensor. It is plain data, so it can cross threads. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: TypedArrays[D];
}

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** Allocates a tensor with arbitrary contents. */
export type Allocate = <D extends DType>(dtype: D, shape: readonly number[]) => Tensor<D>;

/** Number of elements of a shape; 1 for a scalar. It is the product of any sizes. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Size of a tensor's elements, in bytes. */
export function byteLengthOf({ dtype, shape }: Pick<Tensor, 'dtype' | 'shape'>): number {
  return sizeOf(shape) * bytesPerElement(dtype);
}

/** Dtype and shape as text: `f32 [T, 2]`. */
export function typeText(type: {
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}): string {
  return `${type.dtype} [${type.shape.join(', ')}]`;
}

/**
 * Makes zeros in shared memory of their own, which threads and native code may read in place.
 *
 * @param memory makes the buffer, such as `fileBuffer` for memory in a file
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
 * Makes a tensor of numbers, each rounded to the dtype's nearest, in shared memory of its own.
 *
 * @throws SHAPE_MISMATCH when the shape has another number of elements
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

/** An array as a tensor of one axis, without a copy. */
export function vector<D extends DType>(dtype: D, data: TypedArrays[D]): Tensor<D> {
  return { dtype, shape: [data.length], data };
}

/**
 * Copies all elements of a tensor into another of its dtype and size.
 *
 * @throws SHAPE_MISMATCH
 */
export function copyElements(from: Tensor, to: Tensor): void {
  if (from.dtype !== to.dtype || from.data.length !== to.data.length) {
    const what = `${typeText(from)} into ${typeText(to)}`;
    throw new CxmindError('SHAPE_MISMATCH', `copyElements: ${what}`);
  }
  bytesOf(to.data).set(bytesOf(from.data));
}

/**
 * The same elements under another shape of equal size, without a copy. It works for tensors and for views of devices.
 *
 * @throws SHAPE_MISMATCH
 */
export function reshaped<T extends Pick<Tensor, 'shape'>>(tensor: T, shape: readonly number[]): T {
  if (sizeOf(shape) !== sizeOf(tensor.shape)) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `reshaped: [${tensor.shape.join(', ')}] does not hold [${shape.join(', ')}]`,
    );
  }
  return { ...tensor, shape };
}

/**
 * Checks that a tensor has the elements from `start` on that a shape needs.
 *
 * @throws SHAPE_MISMATCH
 */
export function checkPart(
  tensor: Pick<Tensor, 'shape'>,
  start: number,
  shape: readonly number[],
): void {
  const [end, size] = [start + sizeOf(shape), sizeOf(tensor.shape)];
  if (start >= 0 && end <= size) return;
  throw new CxmindError('SHAPE_MISMATCH', `part: ${start}..${end} of ${size} elements`);
}

/**
 * Rows `start` to `end` along the first axis, without a copy.
 *
 * @throws SHAPE_MISMATCH
 */
export function rows<D extends DType>(tensor: Tensor<D>, start: number, end: number): Tensor<D> {
  const [count = 0, ...rest] = tensor.shape;
  if (start < 0 || end < start || end > count) {
    throw new CxmindError('SHAPE_MISMATCH', `rows: ${start}..${end} of ${count} rows`);
  }
  const width = sizeOf(rest);
  const data = tensor.data.subarray(start * width, end * width) as TypedArrays[D];
  return { dtype: tensor.dtype, shape: [end - start, ...rest], data };
}

/** The elements of tensors as numbers. */
import { CxmindError } from '../errors.ts';
import type { DType } from './dtype.ts';
import { decodeF32, encodeF32, type HalfDType } from './half.ts';
import type { Tensor } from './tensor.ts';

/** Copies the elements of a tensor to numbers, exactly but for i64 beyond 2^53. */
export function numbersOf(tensor: Tensor): Float64Array {
  const { dtype, data } = tensor;
  if (dtype === 'i64') return Float64Array.from(data as BigInt64Array, Number);
  return new Float64Array(dtype === 'bf16' ? floatsOf(tensor) : (data as ArrayLike<number>));
}

/**
 * The numbers of a tensor of floats, exactly. For f32 they are the elements themselves, else a copy.
 *
 * @throws DTYPE_MISMATCH for integers
 */
export function floatsOf({ dtype, data }: Tensor): Float32Array {
  if (dtype === 'f32') return data as Float32Array;
  const values = new Float32Array(data.length);
  decodeF32(halfOf(dtype), bitsOf(data), values);
  return values;
}

/**
 * Writes numbers to a tensor of floats from element `start` on, rounded to its dtype.
 *
 * @throws DTYPE_MISMATCH for integers
 */
export function writeFloats({ dtype, data }: Tensor, start: number, values: Float32Array): void {
  if (dtype === 'f32') (data as Float32Array).set(values, start);
  else encodeF32(halfOf(dtype), values, bitsOf(data).subarray(start, start + values.length));
}

function halfOf(dtype: DType): HalfDType {
  if (dtype === 'f16' || dtype === 'bf16') return dtype;
  throw new CxmindError('DTYPE_MISMATCH', `expected floats, got ${dtype}`);
}

function bitsOf({ buffer, byteOffset, length }: Tensor['data']): Uint16Array {
  return new Uint16Array(buffer, byteOffset, length);
}

/** Element types of tensors, their typed arrays, and the rounding of single numbers (`half.ts` rounds whole arrays). */
import { nearestBf16 } from './half.ts';

/** Element types of tensors. `bf16` is stored as its 16 bits. */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'i64' | 'u8' | 'bool';

/** Element types in which a model can compute. */
export type FloatDType = 'f32' | 'f16' | 'bf16';

/** The typed array that holds each dtype's elements. */
export interface TypedArrays {
  f32: Float32Array;
  f16: Float16Array;
  bf16: Uint16Array;
  i32: Int32Array;
  i64: BigInt64Array;
  u8: Uint8Array;
  bool: Uint8Array;
}

interface ViewConstructor<D extends DType> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArrays[D];
}

const constructors: { readonly [D in DType]: ViewConstructor<D> } = {
  f32: Float32Array,
  f16: Float16Array,
  bf16: Uint16Array,
  i32: Int32Array,
  i64: BigInt64Array,
  u8: Uint8Array,
  bool: Uint8Array,
};

/** True for the name of a dtype. */
export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(constructors, value);
}

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  return constructors[dtype].BYTES_PER_ELEMENT;
}

/** A typed view of `length` elements of `buffer` from `byteOffset` on, which must be aligned to the dtype. */
export function viewOf<D extends DType>(
  dtype: D,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): TypedArrays[D] {
  return new constructors[dtype](buffer, byteOffset, length);
}

/** The bytes of a typed array, in place. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return viewOf('u8', buffer, byteOffset, byteLength);
}

/** One value as an f32 and as its bits. Every call writes it before it reads it. */
const f32Scratch = new Float32Array(1);
const u32Scratch = new Uint32Array(f32Scratch.buffer);

/** The value of bf16 bits, exactly. */
export function bf16ToNumber(bits: number): number {
  u32Scratch[0] = bits << 16;
  return f32Scratch[0]!;
}

/** The bf16 bits nearest to a number, ties to even. Too large a number becomes an infinity, NaN a quiet NaN. */
export function numberToBf16(value: number): number {
  f32Scratch[0] = value;
  const bits = u32Scratch[0]!;
  if ((bits & 0xffff) !== 0x8000 || Number.isNaN(value)) return nearestBf16(bits);
  // Halfway between two bf16 as an f32. The number itself is halfway only if rounding to f32 was exact.
  return nearestBf16(bits + Math.sign(Math.abs(value) - Math.abs(f32Scratch[0])));
}

/** The nearest number of a float dtype, ties to even. Too large a number becomes an infinity. */
export function nearestIn(dtype: FloatDType, value: number): number {
  switch (dtype) {
    case 'f32':
      return Math.fround(value);
    case 'f16':
      return Math.f16round(value);
    case 'bf16':
      return bf16ToNumber(numberToBf16(value));
    default:
      return dtype satisfies never;
  }
}

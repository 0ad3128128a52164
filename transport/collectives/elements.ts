/** Views and copies of the tensors that collectives carry. */
import { bytesPerElement, viewOf, type TypedArrays } from '../../src/tensor/dtype.ts';
import type { Element } from './call.ts';

/** Typed arrays of the element types that collectives carry. */
export type Elements = TypedArrays[Element];

// All typed arrays have `subarray` and `set`, which their union does not let one call.

/** Part of a tensor, in place. */
export function slice(elements: Elements, start: number, end: number): Elements {
  return (elements as Float32Array).subarray(start, end);
}

/** Row of a tensor of rows of `count` elements each, in place. */
export function rowOf(elements: Elements, row: number, count: number): Elements {
  return slice(elements, row * count, (row + 1) * count);
}

/** Copies all of `from` into `into`, of the same type, from element `at` on. */
export function copy(from: Elements, into: Elements, at: number): void {
  (into as Float32Array).set(from as Float32Array, at);
}

/** Allocates zeros in memory of this thread alone. */
export function scratch<D extends Element>(dtype: D, length: number): TypedArrays[D] {
  return viewOf(dtype, new ArrayBuffer(length * bytesPerElement(dtype)), 0, length);
}

import { bytesPerElement, viewOf, type TypedArrays } from '../../src/tensor/dtype.ts';
import type { Element } from './call.ts';

/** The typed arrays of the element types that collectives carry. */
export type Elements = TypedArrays[Element];

// The typed arrays of one dtype have `subarray` and `set` in common, which their union does not say.

/** Part of a tensor, in place. */
export function slice(elements: Elements, start: number, end: number): Elements {
  return (elements as Float32Array).subarray(start, end);
}

/** Copies all of `from` to elements `at` and on of `into`, of the same type. */
export function copy(from: Elements, into: Elements, at: number): void {
  (into as Float32Array).set(from as Float32Array, at);
}

/** Zeros in memory of this thread alone. */
export function scratch<D extends Element>(dtype: D, length: number): TypedArrays[D] {
  return viewOf(dtype, new ArrayBuffer(length * bytesPerElement(dtype)), 0, length);
}

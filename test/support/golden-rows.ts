import { tokenRows, type TokenRows } from '../../src/algorithms/primitives.ts';

/** Numbers of golden files: rows of tokens, padded to one length. */
export type Rectangle = readonly (readonly number[])[];

/** Rows end to end, f32 `[T]`. */
export function flat(rectangle: Rectangle): Float32Array {
  return Float32Array.from(rectangle.flat());
}

/** The rows of a mask; tokens with 1 in it count. */
export function rowsOf(mask: Rectangle): TokenRows & { readonly mask: Uint8Array } {
  const counted = Uint8Array.from(mask.flat());
  const lengths = mask.map(({ length }) => length);
  return { ...tokenRows(lengths, counted), mask: counted };
}

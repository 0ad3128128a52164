import { tokenRows, type TokenRows } from '../../../src/algorithms/primitives.ts';

/** The shared inputs of the specification's check values: B = 4 rows of L = 5 columns. */
const columns = 5;

/** A `[4, 5]` rectangle from its rows; a short row is filled with zeros. */
export function rectangle(...rows: readonly (readonly number[])[]): Float32Array {
  const values = new Float32Array(rows.length * columns);
  for (const [i, row] of rows.entries()) values.set(row, i * columns);
  return values;
}

export const mask = Uint8Array.from(rectangle([1, 1, 1], [1, 1, 1, 1, 1], [1, 1], [1, 1, 1, 1]));

/** The padded form: every row five columns wide, padding masked. */
export const padded: TokenRows = tokenRows([5, 5, 5, 5], mask);

/** The packed form: no padding, no mask. */
export const packed: TokenRows = tokenRows([3, 5, 2, 4]);

export const rewards = rectangle([0, 0, 1], [0, 0, 0, 0, 0.1], [0, 0.5], [0, 0, 0, 0.9]);
export const groupIds = ['a', 'a', 'b', 'b'] as const;

/** The tokens of a rectangle that the mask keeps. */
export function unpadded(values: Float32Array): Float32Array {
  return values.filter((_, t) => mask[t] === 1);
}

/** Row `i` of a packed array. */
export function packedRow(values: Float32Array, i: number): Float32Array {
  return values.subarray(packed.offsets[i], packed.offsets[i + 1]);
}

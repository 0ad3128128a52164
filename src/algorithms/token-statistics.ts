/** Statistics for metrics: of token values, and of one value for each row. */
import { isCounted, rowMaskSums, sum, type TokenRows } from './primitives.ts';

/** Numbers by the names of their metrics. */
export type Statistics = Readonly<Record<string, number>>;

/** The squares of values. */
export function squares(values: Float32Array): Float32Array {
  return values.map((value) => value * value);
}

/** The values of tokens that count, `[ΣM]`. */
export function countedValues(values: Float32Array, rows: TokenRows): Float32Array {
  return values.filter((_, t) => isCounted(rows, t));
}

/** The values of rows that have a token that counts. */
export function countedRows(ofRows: Float32Array, rows: TokenRows): Float32Array {
  const counts = rowMaskSums(rows);
  return ofRows.filter((_, i) => counts[i]! > 0);
}

/** Largest value of each row over its tokens that count, f32 `[B]`; 0 for a row without any. */
export function rowMaxima(values: Float32Array, rows: TokenRows): Float32Array {
  return Float32Array.from(rowMaskSums(rows), (count, i) => {
    let largest = count === 0 ? 0 : -Infinity;
    for (let t = rows.offsets[i]!; t < rows.offsets[i + 1]!; t++) {
      if (isCounted(rows, t)) largest = Math.max(largest, values[t]!);
    }
    return largest;
  });
}

/** Largest value; -Infinity of none. */
export function most(values: Float32Array): number {
  return values.reduce((largest, value) => Math.max(largest, value), -Infinity);
}

/** Smallest value; Infinity of none. */
export function least(values: Float32Array): number {
  return values.reduce((smallest, value) => Math.min(smallest, value), Infinity);
}

/** Plain mean; NaN of none. */
export function meanOf(values: ArrayLike<number>): number {
  return sum(values) / values.length;
}

/** Standard deviation with `n - 1`; 0 for a single value. */
export function deviationOf(values: Float32Array): number {
  if (values.length < 2) return 0;
  const mean = meanOf(values);
  return Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1));
}

/** Share of the values that match. */
export function shareOf(values: Float32Array, matches: (value: number) => boolean): number {
  return values.filter(matches).length / values.length;
}

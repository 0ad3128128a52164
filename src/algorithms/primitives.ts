/**
 * Token values of responses: their rows and masks, masked sums, means and variances, and rounding to float32.
 *
 * The formulas of this folder round where PyTorch does in EasyR1, whose numbers they have to give: after each
 * elementwise operation on tensors. Options are float64 until they meet a tensor. A `Float32Array` rounds what it
 * stores, so the operation before that has no `f32`. Sums are in float64 and rounded once. Derivatives are rounded
 * when they are stored.
 */
import { CxmindError } from '../errors.ts';

/** Nearest float32 to a number. */
export const f32 = Math.fround;

/** Added in float32 to every mask count before dividing by it, and to a variance before its root. */
export const EPSILON = f32(1e-8);

/**
 * Division of a flat array of `T` token values into `B` responses: row `i` is `[offsets[i], offsets[i + 1])`.
 *
 * Rows carry no padding. A mask is needed only where tokens inside a row do not count: tool output between two turns,
 * or the padded rectangles of EasyR1.
 */
export interface TokenRows {
  /** i32 `[B + 1]`, rising from 0 to `T`. */
  readonly offsets: Int32Array;
  /** u8 `[T]` of 0 and 1; absent means all ones. */
  readonly mask?: Uint8Array | undefined;
}

/** Rows of the given lengths, in tokens, laid end to end. */
export function tokenRows(lengths: readonly number[], mask?: Uint8Array): TokenRows {
  const offsets = new Int32Array(lengths.length + 1);
  for (let i = 0; i < lengths.length; i++) offsets[i + 1] = offsets[i]! + lengths[i]!;
  return mask === undefined ? { offsets } : { offsets, mask };
}

/** Number of rows, `B`. */
export function rowCount(rows: TokenRows): number {
  return rows.offsets.length - 1;
}

/** Number of token positions, `T`, masked ones included. */
export function tokenCount(rows: TokenRows): number {
  return rows.offsets.at(-1) ?? 0;
}

/** Number of tokens that count, `ΣM`. */
export function maskSum(rows: TokenRows): number {
  return maskSumBetween(rows, 0, tokenCount(rows));
}

/** Number of tokens that count in each row, `[B]`. */
export function rowMaskSums(rows: TokenRows): number[] {
  return ofRows(rows, (start, end) => maskSumBetween(rows, start, end));
}

/**
 * Checks that each named array holds one value per token of `rows`.
 *
 * @throws SHAPE_MISMATCH naming the first array of another length
 */
export function assertTokenLengths(
  where: string,
  rows: TokenRows,
  arrays: Readonly<Record<string, ArrayLike<number> | undefined>>,
): void {
  const expected = tokenCount(rows);
  for (const [name, array] of Object.entries({ mask: rows.mask, ...arrays })) {
    if (array !== undefined && array.length !== expected) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `${where}: ${name} wants [T=${expected}] values, got [${array.length}]`,
      );
    }
  }
}

/** Sum over the tokens that count of each row, f32 `[B]`. */
export function rowSums(values: Float32Array, rows: TokenRows): Float32Array {
  return new Float32Array(ofRows(rows, (start, end) => maskedSumBetween(values, rows, start, end)));
}

/** `Σ(x·M) / (ΣM + 1e-8)` over all tokens; f32 with a float64 sum. */
export function maskedMean(values: Float32Array, rows: TokenRows): number {
  return maskedMeanBetween(values, rows, 0, tokenCount(rows));
}

/** The masked mean of each row, f32 `[B]`; 0 for a row without a token that counts. */
export function rowMeans(values: Float32Array, rows: TokenRows): Float32Array {
  return new Float32Array(
    ofRows(rows, (start, end) => maskedMeanBetween(values, rows, start, end)),
  );
}

/** One value of each row, f32 `[B]`, at every token of the row, f32 `[T]`. */
export function spread(ofRows: Float32Array, { offsets }: TokenRows): Float32Array {
  const values = new Float32Array(offsets.at(-1) ?? 0);
  for (const [i, value] of ofRows.entries()) values.fill(value, offsets[i], offsets[i + 1]);
  return values;
}

/** One value of each row, f32 `[B]`, at those of its tokens that count, 0 at the others: f32 `[T]`. */
export function atTokens(ofRows: Float32Array, rows: TokenRows): Float32Array {
  return zeroMasked(spread(ofRows, rows), rows);
}

/** The values with 0 at masked tokens. */
export function zeroMasked(values: Float32Array, rows: TokenRows): Float32Array {
  return values.map((value, t) => (isCounted(rows, t) ? value : 0));
}

/**
 * Masked mean of squared deviations times Bessel's `S / (S - 1)`, `S = ΣM`; f32.
 * With a single token that counts there is nothing to correct, and the plain value, about 0, returns.
 */
export function maskedVariance(values: Float32Array, rows: TokenRows): number {
  const mean = maskedMean(values, rows);
  const squares = values.map((value) => f32(value - mean) ** 2);
  const variance = maskedMean(squares, rows);
  const count = maskSum(rows);
  return count > 1 ? f32(variance * f32(count / (count - 1))) : variance;
}

/**
 * `(x - mean) / √(variance + 1e-8)` with the masked mean and variance, f32 `[T]`.
 * Masked positions are scaled like the others, as in EasyR1: every consumer masks.
 */
export function maskedWhiten(values: Float32Array, rows: TokenRows): Float32Array {
  const mean = maskedMean(values, rows);
  const scale = f32(1 / Math.sqrt(f32(maskedVariance(values, rows) + EPSILON)));
  return values.map((value) => f32(value - mean) * scale);
}

/** Tells whether token position `t` of the flat array counts. */
export function isCounted(rows: TokenRows, t: number): boolean {
  return rows.mask === undefined || rows.mask[t] === 1;
}

/** Plain float64 sum. */
export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

/** A number of each row, from where its tokens begin and end, `[B]`. */
function ofRows({ offsets }: TokenRows, valueOf: (start: number, end: number) => number): number[] {
  return Array.from(offsets.subarray(1), (end, i) => valueOf(offsets[i]!, end));
}

function maskSumBetween({ mask }: TokenRows, start: number, end: number): number {
  if (mask === undefined) return end - start;
  let count = 0;
  for (let t = start; t < end; t++) count += mask[t]!;
  return count;
}

function maskedSumBetween(
  values: Float32Array,
  rows: TokenRows,
  start: number,
  end: number,
): number {
  let total = 0;
  for (let t = start; t < end; t++) if (isCounted(rows, t)) total += values[t]!;
  return f32(total);
}

function maskedMeanBetween(
  values: Float32Array,
  rows: TokenRows,
  start: number,
  end: number,
): number {
  const count = f32(maskSumBetween(rows, start, end) + EPSILON);
  return f32(maskedSumBetween(values, rows, start, end) / count);
}

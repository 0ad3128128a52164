/** Common parts of the ops over rows of logits `[R, V]`: their attributes, and tokens without a probability. */
import type { FloatDType } from '../../tensor/dtype.ts';
import type { Value } from '../ir.ts';
import { blank, type NdArray } from './array.ts';
import { logSumExpOf } from './numeric.ts';
import type { Emitter } from './op.ts';

/** Attributes of an op over rows of logits. */
export interface VocabularyAttributes {
  /** The dtype of the logits' gradient: that of the products which read it. */
  readonly gradient: FloatDType;
  /** Tokens whose probability is 0, whatever their logits. */
  readonly banned: readonly number[];
}

/** Added to a banned token's logit; its probability is then 0 in f32. */
export const BANNED_BIAS = -1e30;

/** The ONNX name of logits in f32, those of banned tokens lowered. */
export function allowedLogits(
  onnx: Emitter,
  logits: Value,
  { banned }: VocabularyAttributes,
): string {
  const wide = onnx.cast(logits, 'f32');
  if (banned.length === 0) return wide;
  const zeros = onnx.inner('ConstantOfShape', [onnx.ints([logits.shape[1] as number])]);
  const count = onnx.ints([banned.length]);
  const lows = onnx.inner('Expand', [onnx.scalar(BANNED_BIAS, 'f32'), count]);
  const bias = onnx.inner('ScatterElements', [zeros, onnx.ints(banned), lows]);
  return onnx.inner('Add', [wide, bias]);
}

/** The ONNX name of numbers `[R]` as a column `[R, 1]`. */
export function columnOf(onnx: Emitter, numbers: Value): string {
  return onnx.inner('Unsqueeze', [numbers, onnx.ints([1])]);
}

/** The ONNX name of the log-probabilities of all tokens, from the log-sum-exp of each row. */
export function logProbsBy(
  onnx: Emitter,
  logits: Value,
  logSumExp: Value,
  attributes: VocabularyAttributes,
): string {
  const wide = allowedLogits(onnx, logits, attributes);
  return onnx.inner('Sub', [wide, columnOf(onnx, logSumExp)]);
}

/** A copy of logits in which those of banned tokens are -inf. */
export function allowedNumbers(
  { data, shape }: NdArray,
  { banned }: VocabularyAttributes,
): Float64Array {
  const [rows, size] = shape as [number, number];
  const allowed = data.slice();
  for (let row = 0; row < rows; row++) {
    for (const token of banned) allowed[row * size + token] = -Infinity;
  }
  return allowed;
}

/** Computes a number for each row of logits, and the row's log-sum-exp: f32 `[R]` each. Banned tokens are -inf. */
export function evaluateRows(
  logits: NdArray,
  attributes: VocabularyAttributes,
  numberOf: (row: Float64Array, logSumExp: number, index: number) => number,
): NdArray[] {
  const [rows, size] = logits.shape as [number, number];
  const allowed = allowedNumbers(logits, attributes);
  const [numbers, logSumExp] = [blank('f32', [rows]), blank('f32', [rows])];
  for (let index = 0; index < rows; index++) {
    const row = allowed.subarray(index * size, (index + 1) * size);
    const total = logSumExpOf(row);
    numbers.data[index] = numberOf(row, total, index);
    logSumExp.data[index] = total;
  }
  return [numbers, logSumExp];
}

/**
 * Cosines and sines of rotary position embeddings (RoPE, arXiv:2104.09864), for text and for positions in three
 * dimensions (M-RoPE, arXiv:2409.12191).
 */
import { tensorOf, zeros, type Allocate, type Tensor } from '../tensor/tensor.ts';
import type { TextConfig } from './model-config.ts';
import { scaled } from './rope-scaling.ts';

/** Cosines and sines of rotary angles, one row per token, f32 `[T, d/2]` each. */
export interface RotaryTable {
  readonly cos: Tensor<'f32'>;
  readonly sin: Tensor<'f32'>;
}

/** Frequencies `base^(-2j/size)` for `j < size/2`, in float32 like the reference. */
export function inverseFrequencies(size: number, base: number): number[] {
  return Array.from({ length: size / 2 }, (_, j) => Math.fround(1 / base ** ((2 * j) / size)));
}

/** The table of `angle(token, frequency)`, in radians. */
export function tableOf(
  tokens: number,
  width: number,
  angle: (t: number, j: number) => number,
): RotaryTable {
  const cos = zeros('f32', [tokens, width]);
  const sin = zeros('f32', [tokens, width]);
  for (let t = 0, at = 0; t < tokens; t++) {
    for (let j = 0; j < width; j++, at++) {
      const radians = Math.fround(angle(t, j));
      cos.data[at] = Math.cos(radians);
      sin.data[at] = Math.sin(radians);
    }
  }
  return { cos, sin };
}

/** Everything that decides the text decoder's rotary angles besides positions. */
export type RotaryConfig = Pick<
  TextConfig,
  'headDim' | 'ropeTheta' | 'ropeScaling' | 'mropeSection' | 'mropeLayout'
>;

/**
 * Rotary angles of the text decoder with multimodal positions.
 *
 * A frequency follows the temporal, height or width row of positions, by `mropeSection` and `mropeLayout`; a null
 * section means one row for all frequencies.
 *
 * @param positions i32 `[3, T]`, or `[1, T]` where `mropeSection` is null
 * @param allocate  allocates the table
 */
export function textRotary(
  positions: Tensor<'i32'>,
  config: RotaryConfig,
  allocate: Allocate = zeros,
): RotaryTable {
  const { headDim, ropeTheta, ropeScaling } = config;
  const tokens = positions.shape[1]!;
  const plain = inverseFrequencies(headDim, ropeTheta);
  const { frequencies, amplitude } = scaled(plain, ropeTheta, ropeScaling);
  const rowOf = positionRows(config);
  // Sequences of a batch share most positions, so each one's row is computed once and copied.
  const highest = positions.data.reduce((a, b) => Math.max(a, b), 0);
  const width = headDim / 2;
  const every = tableOf(highest + 1, width, (position, j) => position * frequencies[j]!);
  const cos = allocate('f32', [tokens, width]);
  const sin = allocate('f32', [tokens, width]);
  for (let t = 0, at = 0; t < tokens; t++) {
    for (let j = 0; j < width; j++, at++) {
      const from = positions.data[rowOf[j]! * tokens + t]! * width + j;
      cos.data[at] = amplitude * every.cos.data[from]!;
      sin.data[at] = amplitude * every.sin.data[from]!;
    }
  }
  return { cos, sin };
}

/** The row of positions that each frequency follows: 0 for time, 1 for height, 2 for width. */
function positionRows({ headDim, mropeSection, mropeLayout }: RotaryConfig): number[] {
  const count = headDim / 2;
  if (mropeSection === null) return Array<number>(count).fill(0);
  if (mropeLayout === 'sections') {
    return mropeSection.flatMap((length, row) => Array<number>(length).fill(row));
  }
  return Array.from({ length: count }, (_, j) => (j < 3 * mropeSection[j % 3]! ? j % 3 : 0));
}

/**
 * Rotary angles of generated tokens.
 *
 * Generated tokens are text: their temporal, height and width positions are equal, so one row of angles serves.
 */
export function generatedRotary(text: TextConfig, positions: readonly number[]): RotaryTable {
  const row = tensorOf('i32', [1, positions.length], positions);
  return textRotary(row, { ...text, mropeSection: null });
}

import type { PackedBatch } from '../model/batch.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';
import type { Grid } from '../vision/patchify.ts';

/** A prompt and a response to it, ready to be scored. */
export interface ResponseSample {
  readonly prompt: {
    /** `[Tp]` */
    readonly tokenIds: Int32Array;
    /** i32 `[3, Tp]` */
    readonly positions: Tensor<'i32'>;
    readonly pixelValues: Tensor<'f32'> | null;
    readonly grids: readonly Grid[];
  };
  /** `[Tr]`, the end of turn included when the response has one. */
  readonly responseIds: ArrayLike<number>;
}

/**
 * Samples one after the other without padding; every response token is scored, by the row before it.
 *
 * A response goes on from its prompt's last position by one a token, in all three rows.
 *
 * @returns rows to score are in the order of the samples, then of the response tokens
 */
export function packSamples(samples: readonly ResponseSample[]): PackedBatch {
  const lengths = samples.map(
    ({ prompt, responseIds }) => prompt.tokenIds.length + responseIds.length,
  );
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const scored = samples.reduce((sum, { responseIds }) => sum + responseIds.length, 0);
  const tokenIds = new Int32Array(total);
  const positions = zeros('i32', [3, total]);
  const scoredRows = new Int32Array(scored);
  let start = 0;
  let nextScored = 0;
  for (const { prompt, responseIds } of samples) {
    const promptLength = prompt.tokenIds.length;
    const responseStart = start + promptLength;
    tokenIds.set(prompt.tokenIds, start);
    tokenIds.set(responseIds, responseStart);
    for (let axis = 0; axis < 3; axis++) {
      const row = prompt.positions.data.subarray(axis * promptLength, (axis + 1) * promptLength);
      positions.data.set(row, axis * total + start);
      const last = row[promptLength - 1] ?? -1;
      for (let j = 0; j < responseIds.length; j++) {
        positions.data[axis * total + responseStart + j] = last + 1 + j;
      }
    }
    for (let j = 0; j < responseIds.length; j++) scoredRows[nextScored++] = responseStart + j - 1;
    start = responseStart + responseIds.length;
  }
  return {
    tokenIds,
    positions,
    lengths,
    scoredRows,
    pixelValues: stackRows(samples.flatMap(({ prompt }) => prompt.pixelValues ?? [])),
    grids: samples.flatMap(({ prompt }) => prompt.grids),
  };
}

/** Matrices of equal width one below the other; null of none, and of one the matrix itself. */
export function stackRows(parts: readonly Tensor<'f32'>[]): Tensor<'f32'> | null {
  const [first, ...others] = parts;
  if (first === undefined) return null;
  if (others.length === 0) return first;
  const height = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const stacked = zeros('f32', [height, first.shape[1]!]);
  let at = 0;
  for (const { data } of parts) {
    stacked.data.set(data, at);
    at += data.length;
  }
  return stacked;
}

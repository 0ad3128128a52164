import { stackRows } from '../tensor/rows.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';
import type { Grid, PackedBatch } from './batch.ts';

/** A prompt ready for the model. */
export interface PromptInput {
  /** i32 `[T]`. */
  readonly tokenIds: Tensor<'i32'>;
  /** i32 `[3, T]`. */
  readonly positions: Tensor<'i32'>;
  /** f32 `[N, C·Pt·P·P]`, or null without images. */
  readonly pixelValues: Tensor<'f32'> | null;
  readonly grids: readonly Grid[];
}

/** A prompt and the response tokens that follow it, none for a prompt alone. */
export interface SequenceInput {
  readonly prompt: PromptInput;
  /** i32 `[T]`. */
  readonly response: Tensor<'i32'>;
}

const noTokens = zeros('i32', [0]);

/** Prompts one after the other, without padding; nothing is scored. */
export function packPrompts(prompts: readonly PromptInput[]): PackedBatch {
  return packSequences(prompts.map((prompt) => ({ prompt, response: noTokens })));
}

/**
 * Sequences one after the other, without padding; every response token is scored.
 *
 * Response tokens continue from the prompt's last position, alike in all three rows.
 */
export function packSequences(sequences: readonly SequenceInput[]): PackedBatch {
  const lengths = sequences.map((s) => s.prompt.tokenIds.data.length + s.response.data.length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const tokenIds = new Int32Array(total);
  const positions = zeros('i32', [3, total]);
  const scoredRows: number[] = [];
  let start = 0;
  for (const { prompt, response } of sequences) {
    const count = prompt.tokenIds.data.length;
    const added = response.data.length;
    tokenIds.set(prompt.tokenIds.data, start);
    tokenIds.set(response.data, start + count);
    for (let axis = 0; axis < 3; axis++) {
      const row = positions.data.subarray(axis * total + start, (axis + 1) * total);
      row.set(prompt.positions.data.subarray(axis * count, (axis + 1) * count));
      for (let j = 0; j < added; j++) row[count + j] = row[count - 1]! + j + 1;
    }
    for (let j = 0; j < added; j++) scoredRows.push(start + count - 1 + j);
    start += count + added;
  }
  return {
    tokenIds,
    positions,
    lengths,
    scoredRows: Int32Array.from(scoredRows),
    pixelValues: stackRows(sequences.flatMap(({ prompt }) => prompt.pixelValues ?? [])),
    grids: sequences.flatMap(({ prompt }) => prompt.grids),
  };
}

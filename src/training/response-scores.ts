/** Evaluation of response tokens in micro-batches: scores, or other numbers of a model, for each sequence. */
import type { PackedBatch } from '../model/batch.ts';
import type { Network } from '../model/network.ts';
import { packSequences, type SequenceInput } from '../model/pack.ts';
import { splitBy } from './experience.ts';
import { microBatches, type MicroBatchOptions } from './micro-batches.ts';

/** Evaluates the response tokens of a batch: one list of numbers or more, f32 `[R]`, such as log-probabilities. */
export type Evaluation = (batch: PackedBatch) => Promise<readonly Float32Array[]>;

/** Scores of each sequence's response tokens, in order: log-probabilities at temperature 1, or scores of a reward model. */
export async function responseScores(
  network: Pick<Network, 'scores'>,
  sequences: readonly SequenceInput[],
  microBatch: MicroBatchOptions,
): Promise<Float32Array[]> {
  const scores: Evaluation = async (batch) => [await network.scores(batch, 1)];
  const numbers = await responseNumbers(scores, sequences, microBatch);
  return numbers.map(([own]) => own!);
}

/** The numbers of an evaluation for each sequence's response tokens, in order, computed in micro-batches. */
export async function responseNumbers(
  evaluate: Evaluation,
  sequences: readonly SequenceInput[],
  microBatch: MicroBatchOptions,
  onProgress?: (done: number) => void,
): Promise<Float32Array[][]> {
  const numbers = sequences.map((): Float32Array[] => []);
  let done = 0;
  for (const indices of microBatches(sequences, microBatch)) {
    const chosen = indices.map((i) => sequences[i]!);
    const lengths = chosen.map(({ response }) => response.data.length);
    for (const column of await evaluate(packSequences(chosen))) {
      const parts = splitBy(column, lengths);
      for (const [j, i] of indices.entries()) numbers[i]!.push(parts[j]!);
    }
    done += indices.length;
    onProgress?.(done);
  }
  return numbers;
}

import { packSequences, type SequenceInput } from '../model/pack.ts';
import type { PackedBatch } from '../model/batch.ts';
import type { Policy } from '../model/policy.ts';
import type { ValueModel } from '../model/value-model.ts';
import { splitBy } from './experience.ts';
import { microBatches, type MicroBatchOptions } from './micro-batches.ts';

/** Log-probabilities of each sequence's response tokens, in order, computed in micro-batches. */
export function responseLogProbs(
  policy: Policy,
  sequences: readonly SequenceInput[],
  temperature: number,
  options: MicroBatchOptions,
  onProgress?: (done: number) => void,
): Promise<Float32Array[]> {
  const score = (batch: PackedBatch): Promise<Float32Array> => policy.logProbs(batch, temperature);
  return responseScores(score, sequences, options, onProgress);
}

/** A critic's values of each sequence's response tokens, likewise. */
export function responseValues(
  model: ValueModel,
  sequences: readonly SequenceInput[],
  options: MicroBatchOptions,
  onProgress?: (done: number) => void,
): Promise<Float32Array[]> {
  return responseScores((batch) => model.values(batch), sequences, options, onProgress);
}

async function responseScores(
  score: (batch: PackedBatch) => Promise<Float32Array>,
  sequences: readonly SequenceInput[],
  options: MicroBatchOptions,
  onProgress?: (done: number) => void,
): Promise<Float32Array[]> {
  const results = new Array<Float32Array>(sequences.length);
  let done = 0;
  for (const indices of microBatches(sequences, options)) {
    const chosen = indices.map((i) => sequences[i]!);
    const lengths = chosen.map(({ response }) => response.data.length);
    const parts = splitBy(await score(packSequences(chosen)), lengths);
    for (const [j, index] of indices.entries()) results[index] = parts[j]!;
    done += indices.length;
    onProgress?.(done);
  }
  return results;
}

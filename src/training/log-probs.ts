import { packSequences, type SequenceInput } from '../model/pack.ts';
import type { Policy } from '../model/policy.ts';
import { splitBy } from './experience.ts';
import { microBatches, type MicroBatchOptions } from './micro-batches.ts';

/** Log-probabilities of each sequence's response tokens, in order, computed in micro-batches. */
export function responseLogProbs(
  policy: Policy,
  sequences: readonly SequenceInput[],
  temperature: number,
  options: MicroBatchOptions,
  onProgress?: (done: number) => void,
): Float32Array[] {
  const results = new Array<Float32Array>(sequences.length);
  let done = 0;
  for (const indices of microBatches(sequences, options)) {
    const chosen = indices.map((i) => sequences[i]!);
    const values = policy.logProbs(packSequences(chosen), temperature);
    const parts = splitBy(
      values,
      chosen.map(({ response }) => response.data.length),
    );
    for (const [j, index] of indices.entries()) results[index] = parts[j]!;
    done += indices.length;
    onProgress?.(done);
  }
  return results;
}

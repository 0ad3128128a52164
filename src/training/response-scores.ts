import type { Network } from '../model/network.ts';
import { packSequences, type SequenceInput } from '../model/pack.ts';
import { splitBy } from './experience.ts';
import { microBatches, type MicroBatchOptions } from './micro-batches.ts';

/**
 * Scores of each sequence's response tokens, in order, computed in micro-batches: log-probabilities of a policy, values
 * of a critic.
 *
 * @param temperature divides a policy's logits before the softmax
 */
export async function responseScores(
  network: Pick<Network, 'scores'>,
  sequences: readonly SequenceInput[],
  temperature: number,
  microBatch: MicroBatchOptions,
  onProgress?: (done: number) => void,
): Promise<Float32Array[]> {
  const results = new Array<Float32Array>(sequences.length);
  let done = 0;
  for (const indices of microBatches(sequences, microBatch)) {
    const chosen = indices.map((i) => sequences[i]!);
    const lengths = chosen.map(({ response }) => response.data.length);
    const parts = splitBy(await network.scores(packSequences(chosen), temperature), lengths);
    for (const [j, index] of indices.entries()) results[index] = parts[j]!;
    done += indices.length;
    onProgress?.(done);
  }
  return results;
}

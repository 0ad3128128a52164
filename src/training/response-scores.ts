import type { PackedBatch } from '../model/batch.ts';
import type { Network } from '../model/network.ts';
import { packSequences, type SequenceInput } from '../model/pack.ts';
import type { Policy } from '../model/policy.ts';
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
  const scores = new Array<Float32Array>(sequences.length);
  const compute = async (batch: PackedBatch) => [await network.scores(batch, temperature)];
  await inMicroBatches(sequences, microBatch, compute, [scores], onProgress);
  return scores;
}

/** Log-probabilities of a policy as `responseScores` gives them, and the entropies of their distributions, nats. */
export async function responseEntropies(
  policy: Pick<Policy, 'logProbsAndEntropies'>,
  sequences: readonly SequenceInput[],
  temperature: number,
  microBatch: MicroBatchOptions,
  onProgress?: (done: number) => void,
): Promise<{ readonly logProbs: Float32Array[]; readonly entropies: Float32Array[] }> {
  const logProbs = new Array<Float32Array>(sequences.length);
  const entropies = new Array<Float32Array>(sequences.length);
  const compute = (batch: PackedBatch) => policy.logProbsAndEntropies(batch, temperature);
  await inMicroBatches(sequences, microBatch, compute, [logProbs, entropies], onProgress);
  return { logProbs, entropies };
}

/**
 * Computes numbers of response tokens in micro-batches.
 *
 * @param compute from a batch to one number or more for each of its tokens, column by column
 * @param into    for each column a list of the sequences' parts of it
 */
async function inMicroBatches(
  sequences: readonly SequenceInput[],
  microBatch: MicroBatchOptions,
  compute: (batch: PackedBatch) => Promise<readonly Float32Array[]>,
  into: readonly Float32Array[][],
  onProgress: ((done: number) => void) | undefined,
): Promise<void> {
  let done = 0;
  for (const indices of microBatches(sequences, microBatch)) {
    const chosen = indices.map((i) => sequences[i]!);
    const lengths = chosen.map(({ response }) => response.data.length);
    for (const [column, values] of (await compute(packSequences(chosen))).entries()) {
      const parts = splitBy(values, lengths);
      for (const [j, index] of indices.entries()) into[column]![index] = parts[j]!;
    }
    done += indices.length;
    onProgress?.(done);
  }
}

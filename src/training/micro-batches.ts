import { dynamicBatchCount, dynamicBatches } from '../algorithms/sequence-balance.ts';

/** How samples are divided into passes over the model. */
export interface MicroBatchOptions {
  /** Samples of a micro-batch; with `dynamic` it only sets the token budget. */
  readonly size: number;
  /** Divide by a token budget of `size` longest sequences rather than by count. */
  readonly dynamic: boolean;
  /** Tokens of the longest sequence there can be. */
  readonly maxTokens: number;
}

/** Indices of the samples of each micro-batch. @param lengths tokens of each sample */
export function microBatches(
  lengths: readonly number[],
  { size, dynamic, maxTokens }: MicroBatchOptions,
): number[][] {
  if (dynamic) return dynamicBatches(lengths, dynamicBatchCount(lengths, size * maxTokens));
  const batches: number[][] = [];
  for (let start = 0; start < lengths.length; start += size) {
    const end = Math.min(lengths.length, start + size);
    batches.push(Array.from({ length: end - start }, (_, i) => start + i));
  }
  return batches;
}

import { dynamicBatchCount, dynamicBatches } from '../algorithms/sequence-balance.ts';
import type { SequenceInput } from '../model/pack.ts';
import { sequenceLength } from './experience.ts';

/** How samples are divided into passes over the model. */
export interface MicroBatchOptions {
  /** Samples of a micro-batch; with `dynamic` it only sets the token budget. */
  readonly size: number;
  /** Divide by a token budget of `size` longest sequences rather than by count. */
  readonly dynamic: boolean;
  /** Tokens of the longest sequence there can be. */
  readonly maxTokens: number;
}

/**
 * Indices of the samples of each micro-batch.
 *
 * Responses to one prompt stay together as far as the size allows, because together they cost its prompt
 * and images only once. They are expected side by side, as a rollout makes them.
 */
export function microBatches(
  samples: readonly SequenceInput[],
  { size, dynamic, maxTokens }: MicroBatchOptions,
): number[][] {
  const indices = [...samples.keys()];
  if (!dynamic) return chunks(indices, size);
  const groups = runsOfOnePrompt(samples).flatMap((group) => chunks(group, size));
  const lengths = groups.map((group) => tokensTogether(group.map((i) => samples[i]!)));
  const count = dynamicBatchCount(lengths, size * maxTokens);
  return dynamicBatches(lengths, count).map((batch) => batch.flatMap((group) => groups[group]!));
}

/** Tokens of responses to one prompt, the prompt counted once. */
function tokensTogether(samples: readonly SequenceInput[]): number {
  const prompt = samples[0]!.prompt.tokenIds.data.length;
  return samples.reduce((sum, sample) => sum + sequenceLength(sample) - prompt, prompt);
}

function runsOfOnePrompt(samples: readonly SequenceInput[]): number[][] {
  const runs: number[][] = [];
  for (const [i, { prompt }] of samples.entries()) {
    const isSame = i > 0 && samples[i - 1]!.prompt.tokenIds === prompt.tokenIds;
    if (isSame) runs.at(-1)!.push(i);
    else runs.push([i]);
  }
  return runs;
}

function chunks(indices: readonly number[], size: number): number[][] {
  const parts: number[][] = [];
  for (let start = 0; start < indices.length; start += size) {
    parts.push(indices.slice(start, start + size));
  }
  return parts;
}

/** Division of samples into passes over a model, by their number or by a budget of tokens. */
import { dynamicBatchCount, dynamicBatches } from '../algorithms/sequence-balance.ts';
import type { SequenceInput } from '../model/pack.ts';
import { slices } from '../tensor/slices.ts';
import { totalLength } from './experience.ts';

/** Division of samples into passes over the model. */
export interface MicroBatchOptions {
  /** Samples of a micro-batch; with `dynamic` it sets the token budget only. */
  readonly size: number;
  /** Divides by a token budget, `size · maxTokens`, rather than by count. */
  readonly dynamic: boolean;
  /** Tokens of the longest possible sequence. */
  readonly maxTokens: number;
}

/**
 * Indices of the samples of each micro-batch.
 *
 * Responses to one prompt stay together as far as the size allows, because the prompt and its images are then computed
 * once. They have to be side by side, as a rollout leaves them. No micro-batch of several prompts exceeds the budget.
 */
export function microBatches(
  samples: readonly SequenceInput[],
  { size, dynamic, maxTokens }: MicroBatchOptions,
): number[][] {
  if (!dynamic) return cutEvery([...samples.keys()], size);
  if (samples.length === 0) return [];
  const groups = runsOfOnePrompt(samples).flatMap((group) => cutEvery(group, size));
  const lengths = groups.map((group) => tokensTogether(group.map((i) => samples[i]!)));
  const budget = size * maxTokens;
  const isOver = (batch: readonly number[]): boolean =>
    batch.length > 1 && batch.reduce((sum, group) => sum + lengths[group]!, 0) > budget;
  // Groups are coarser than samples: by the sum of tokens alone, one micro-batch might get two where others get one.
  let batches = dynamicBatches(lengths, dynamicBatchCount(lengths, budget));
  while (batches.some(isOver)) batches = dynamicBatches(lengths, batches.length + 1);
  return batches.map((batch) => batch.flatMap((group) => groups[group]!));
}

/** Number of tokens of responses to one prompt, the prompt counted once. */
export function tokensTogether(samples: readonly SequenceInput[]): number {
  const prompt = samples[0]!.prompt.tokenIds.data.length;
  return totalLength(samples) - (samples.length - 1) * prompt;
}

/** Indices of consecutive samples that answer one prompt. */
export function runsOfOnePrompt(samples: readonly SequenceInput[]): number[][] {
  const runs: number[][] = [];
  for (const [i, { prompt }] of samples.entries()) {
    const isSame = i > 0 && samples[i - 1]!.prompt.tokenIds === prompt.tokenIds;
    if (isSame) runs.at(-1)!.push(i);
    else runs.push([i]);
  }
  return runs;
}

/** Items in consecutive parts of `size`, the last one smaller. */
export function cutEvery<T>(items: readonly T[], size: number): T[][] {
  return Array.from(slices(items.length, size), ({ start, end }) => items.slice(start, end));
}

import assert from 'node:assert/strict';
import type { Device } from '../../src/device/device.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import type { EngineOptions } from '../../src/generation/request.ts';
import type { SequenceInput } from '../../src/model/pack.ts';
import { assertClose } from './assert-close.ts';
import type { GoldenModel } from './golden-model.ts';

/** Tokens with which transformers continues a prompt greedily, with their log-probabilities where these are known. */
export interface Greedy {
  readonly ids: readonly number[];
  readonly logprobs?: readonly number[];
}

interface Continuation extends Pick<EngineOptions, 'maxSequences' | 'maxPrefillTokens'> {
  /** Token that ends a response. */
  readonly stop: number;
  /** Most tokens of a response; as many as transformers took when left out. */
  readonly maxTokens?: number;
  /** Tolerance of log-probabilities, in nats. */
  readonly atol: number;
}

/** Asserts that a model continues the prompts of sequences greedily as transformers does. */
export async function assertContinues(
  device: Device,
  { config, arena }: GoldenModel,
  sequences: readonly Pick<SequenceInput, 'prompt'>[],
  greedy: readonly Greedy[],
  { stop, maxTokens, atol, ...limits }: Continuation,
): Promise<void> {
  using engine = new GenerationEngine(device, config, arena, { bannedTokens: [], ...limits });
  const responses = await engine.generate(
    sequences.map(({ prompt }, i) => ({
      prompt,
      sampling: { temperature: 0, topP: 1, topK: -1 },
      maxTokens: maxTokens ?? greedy[i]!.ids.length,
      stopTokens: [stop],
      seeds: [[i, i]],
    })),
  );
  for (const [i, { ids, logprobs }] of greedy.entries()) {
    const { tokenIds, logProbs } = responses[i]![0]!;
    assert.deepEqual([...tokenIds.data], ids);
    if (logprobs !== undefined) assertClose(logProbs.data, logprobs, { atol }, `case ${i}`);
  }
}

import { availableParallelism } from 'node:os';
import { GenerationEngine } from '../../src/generation/engine.ts';
import { openDevice } from '../../src/device/open.ts';
import { keyOf } from '../../src/rng.ts';
import { compare, now, type Measured } from './harness.ts';
import { configOf, demo, randomModel, randomPrompts, tiny, type BenchModel } from './model.ts';
import { Peer } from './peer.ts';

const PROMPT_TOKENS = 128;
const NEW_TOKENS = 128;
const sampling = { temperature: 1, topP: 1, topK: -1 };

async function benchModel(
  name: string,
  model: BenchModel,
  batches: readonly number[],
): Promise<void> {
  using device = openDevice({ threads: availableParallelism() });
  const { config, arena } = randomModel(model);
  const options = { config: configOf(model), threads: availableParallelism() };
  await using generate = Peer.start('transformers.generate', 'generate.py', options);
  await using loop = Peer.start('compiled loop', 'generate.py', { ...options, compiled: true });
  for (const batch of batches) {
    using engine = new GenerationEngine(device, config, arena, {
      maxSequences: batch,
      maxPrefillTokens: batch * PROMPT_TOKENS,
      bannedTokens: [],
    });
    const prompts = randomPrompts(model, batch, PROMPT_TOKENS);
    const seconds = async (maxTokens: number): Promise<number> => {
      const start = now();
      const responses = await engine.generate(
        prompts.map((prompt, i) => {
          return { prompt, sampling, maxTokens, stopTokens: [], seeds: [keyOf('bench', i)] };
        }),
      );
      if (responses.some((each) => each[0]?.tokenIds.data.length !== maxTokens)) {
        throw new Error(`a response is not of ${maxTokens} tokens`);
      }
      return now() - start;
    };
    /** New tokens a second over the whole call, and over what follows the prefill and its first token. */
    const ours = async (): Promise<Measured> => {
      const prefill = await seconds(1);
      const whole = await seconds(NEW_TOKENS);
      return {
        whole: (batch * NEW_TOKENS) / whole,
        decode: (batch * (NEW_TOKENS - 1)) / (whole - prefill),
      };
    };
    const params = { model: name, batch, prompt: PROMPT_TOKENS, newTokens: NEW_TOKENS };
    const measured = { name: 'decode', params, unit: 'tokens/s' };
    await compare(measured, ours, generate);
    if (loop !== undefined) await compare(measured, ours, loop);
  }
}

/** Generated tokens per second, prompts of equal length, every response of full length. */
export async function benchDecode(): Promise<void> {
  await benchModel('tiny', tiny, [1, 8, 32]);
  await benchModel('demo', demo, [32]);
}

import { availableParallelism } from 'node:os';
import { openDevice } from '../../src/device/open.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import { Policy } from '../../src/model/policy.ts';
import { keyOf } from '../../src/rng.ts';
import { compare, now, type Measured } from './harness.ts';
import { randomBatch, randomModel, randomPrompts, type BenchModel } from './model.ts';

/** One dense layer whose MLP takes a token as much work as the experts that it goes to. */
const dense: BenchModel & Record<string, unknown> = {
  architectures: ['Qwen3ForCausalLM'],
  hidden_size: 1024,
  head_dim: 64,
  num_hidden_layers: 1,
  num_attention_heads: 16,
  num_key_value_heads: 4,
  intermediate_size: 8 * 384,
  vocab_size: 512,
};
const mixture: typeof dense = {
  ...dense,
  architectures: ['Qwen3MoeForCausalLM'],
  num_experts: 64,
  num_experts_per_tok: 8,
  moe_intermediate_size: 384,
  norm_topk_prob: true,
};
const NEW_TOKENS = 32;
const sampling = { temperature: 1, topP: 1, topK: -1 };

/** Scoring, gradients and decoding by a layer of experts, and by a dense one of as much work. */
export async function benchExperts(): Promise<void> {
  using device = openDevice({ threads: availableParallelism() });
  const models = { mixture: randomModel(mixture), dense: randomModel(dense) };
  const both = async (
    measure: (model: (typeof models)['mixture']) => Promise<number>,
  ): Promise<Measured> => {
    const [ours, others] = [await measure(models.mixture), await measure(models.dense)];
    return { mixture: ours, dense: others, 'mixture/dense': ours / others };
  };
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const start = now();
    await work();
    return now() - start;
  };
  for (const tokens of [64, 256, 1024]) {
    const batch = randomBatch(dense, tokens / 64, 64);
    const policies = new Map(
      Object.values(models).map((model) => {
        const { config, arena } = model;
        const policy = new Policy(device, config, arena, { gradientCheckpointing: false });
        return [model, { policy, gradients: arena.twin() }] as const;
      }),
    );
    const params = { tokens, experts: 64, perToken: 8 };
    const scoring = () =>
      both((model) => timed(() => policies.get(model)!.policy.logProbs(batch, 1)));
    await compare({ name: 'experts.logProbs', params, unit: 's' }, scoring, undefined);
    const training = () =>
      both((model) => {
        const { policy, gradients } = policies.get(model)!;
        return timed(() => policy.accumulateGradients(batch, 1, (scores) => scores, gradients));
      });
    await compare({ name: 'experts.gradients', params, unit: 's' }, training, undefined);
    for (const { policy } of policies.values()) policy[Symbol.dispose]();
  }
  for (const batch of [1, 8, 32]) {
    const prompts = randomPrompts(dense, batch, 16);
    const options = { maxSequences: batch, maxPrefillTokens: 8192, bannedTokens: [] };
    const decoding = () =>
      both(async ({ config, arena }) => {
        using engine = new GenerationEngine(device, config, arena, options);
        const requests = (maxTokens: number) =>
          prompts.map((prompt, i) => {
            const seeds = [keyOf('bench', i)];
            return { prompt, sampling, maxTokens, stopTokens: [], seeds };
          });
        await engine.generate(requests(1));
        const seconds = await timed(() => engine.generate(requests(NEW_TOKENS)));
        return (batch * NEW_TOKENS) / seconds;
      });
    const params = { batch, newTokens: NEW_TOKENS, experts: 64, perToken: 8 };
    await compare({ name: 'experts.generate', params, unit: 'tokens/s' }, decoding, undefined);
  }
}

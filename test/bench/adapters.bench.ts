import { availableParallelism } from 'node:os';
import { GenerationEngine } from '../../src/generation/engine.ts';
import { initializeAdapter, type Adapter } from '../../src/model/adapters/adapter.ts';
import { adapterSpec } from '../../src/model/adapters/selection.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { mergedTensor } from '../../src/model/adapters/merge.ts';
import { adapterLayout } from '../../src/model/adapters/model-adapters.ts';
import { openDevice } from '../../src/device/open.ts';
import { keyOf } from '../../src/rng.ts';
import { compare, now, type Measured } from './harness.ts';
import { demo, randomModel, randomPrompts, tiny, type BenchModel } from './model.ts';

const PROMPT_TOKENS = 64;
const NEW_TOKENS = 96;
const sampling = { temperature: 1, topP: 1, topK: -1 };

async function benchModel(name: string, model: BenchModel, batch: number): Promise<void> {
  using device = openDevice({ threads: availableParallelism() });
  const { config, arena } = randomModel(model);
  const prompts = randomPrompts(model, batch, PROMPT_TOKENS);
  const options = { maxSequences: batch, maxPrefillTokens: 8192, bannedTokens: [] };
  using plain = new GenerationEngine(device, config, arena, options);
  const rate = async (engine: GenerationEngine): Promise<number> => {
    const start = now();
    await engine.generate(
      prompts.map((prompt, i) => {
        const seeds = [keyOf('bench', i)];
        return { prompt, sampling, maxTokens: NEW_TOKENS, stopTokens: [], seeds };
      }),
    );
    return (batch * NEW_TOKENS) / (now() - start);
  };
  for (const rank of [8, 32]) {
    const spec = adapterSpec(config, { rank, alpha: rank, targets: 'all-linear', exclude: null });
    const adapter: Adapter = { spec, arena: new Arena(adapterLayout(config, spec)) };
    initializeAdapter(adapter, 1);
    using adapted = new GenerationEngine(device, config, arena, options, adapter);
    const measure = async (): Promise<Measured> => {
      const [merged, beside] = [await rate(plain), await rate(adapted)];
      return { merged, beside, 'beside/merged': beside / merged };
    };
    const params = { model: name, batch, rank, newTokens: NEW_TOKENS };
    await compare({ name: 'adapters.generate', params, unit: 'tokens/s' }, measure, undefined);
    const merge = (): Measured => {
      const start = now();
      const merged = spec.modules.map(
        (name) => mergedTensor(`${name}.weight`, arena, adapter).data,
      );
      if (merged.length === 0) throw new Error('nothing was merged');
      return { seconds: now() - start };
    };
    await compare({ name: 'adapters.merge', params, unit: 's' }, merge, undefined);
  }
}

/** Generation with adapters computed beside the weights, against weights that they were merged into; and merging. */
export async function benchAdapters(): Promise<void> {
  for (const batch of [1, 32]) await benchModel('tiny', tiny, batch);
  await benchModel('demo', demo, 32);
}

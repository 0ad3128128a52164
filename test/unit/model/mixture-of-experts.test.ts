import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { differentiate } from '../../../src/graph/backward.ts';
import { kernelGraphOf, scheduled } from '../../../src/graph/schedule.ts';
import { cuda } from '../../../src/graph/target.ts';
import { NO_ADAPTERS, type Adapter } from '../../../src/model/adapters/adapter.ts';
import { mergedTensor } from '../../../src/model/adapters/merge.ts';
import { adapterLayout } from '../../../src/model/adapters/model-adapters.ts';
import { selectModules } from '../../../src/model/adapters/selection.ts';
import { loadCheckpoint, saveCheckpoint } from '../../../src/model/checkpoint/checkpoint.ts';
import { readSafetensors, writeSafetensors } from '../../../src/model/checkpoint/safetensors.ts';
import { decoderLayerGraph } from '../../../src/model/decoder/layer.ts';
import { pagedStepGraph } from '../../../src/model/decoder/paged-step.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { Policy } from '../../../src/model/policy.ts';
import { Arena } from '../../../src/model/weights/arena.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { assertClose } from '../../support/assert-close.ts';
import { goldenPath } from '../../support/golden.ts';
import { goldenFamily } from '../../support/golden-family.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { goldenSuite } from '../../support/golden-model.ts';

describe('a mixture of experts', () => {
  const golden = goldenFamily('qwen3-moe');
  const options = { gradientCheckpointing: false };
  const suite = goldenSuite(golden.load);

  it('has adapters on attention and experts, and none on the router', () => {
    const modulesOf = (targets: 'all-linear' | string[]) =>
      selectModules(suite.model.config, { targets, exclude: null });
    assert.deepEqual(
      modulesOf(['gate_proj', 'gate']).filter((module) => module.includes('layers.1')),
      [0, 1, 2, 3, 4].map((expert) => `model.layers.1.mlp.experts.${expert}.gate_proj`),
    );
    assert.ok(!modulesOf('all-linear').some((module) => module.endsWith('mlp.gate')));
    // A layer's attention has 4 products; the first layer has an MLP of 3, the others 5 experts of 3.
    assert.equal(modulesOf('all-linear').length, 3 * 4 + 3 + 2 * 5 * 3);
  });

  it('gives with adapters on some experts what it gives with them merged', async () => {
    const { config, arena } = suite.model;
    const targets = ['layers.1.mlp.experts.3.gate_proj', 'experts.0.down_proj', 'up_proj'];
    const modules = selectModules(config, { targets, exclude: '.*experts\\.2.*' });
    const spec = { rank: 2, alpha: 6, modules };
    const adapter: Adapter = { spec, arena: new Arena(adapterLayout(config, spec)) };
    const rng = new Rng(keyOf('adapters of some experts'));
    adapter.arena.data.forEach((_, i) => (adapter.arena.data[i] = 0.3 * rng.nextNormal()));
    const merged = new Arena(arena.layout);
    for (const { name } of merged.layout.entries) {
      merged.tensor(name).data.set(mergedTensor(name, arena, adapter).data);
    }
    const batch = packSequences(golden.sequences);
    using adapted = new Policy(suite.device, config, arena, { ...options, adapter });
    using plain = new Policy(suite.device, config, merged, options);
    const found = await adapted.logProbs(batch, 1);
    assertClose(found, await plain.logProbs(batch, 1), { atol: 1e-4 });
    assert.ok(found.some((value, i) => Math.abs(value - golden.logProbs[i]!) > 0.05));
  });

  it('is read from stacks of experts as transformers 5 writes them, and written as the hub has them', async () => {
    const folder = goldenPath('families/qwen3-vl-moe');
    const file = join(folder, 'model.safetensors');
    // Gate and up of an expert are 24 together, and the model's width is 16.
    const turned = [...(await readSafetensors(file))].map(([name, tensor]) => {
      if (!name.includes('.experts.')) return { name, tensor };
      const [count, rows, columns] = tensor.shape as [number, number, number];
      const { dtype, data } = tensor as Tensor<'bf16'>;
      const transposed = data.map((_, i) => {
        const start = i - (i % (rows * columns));
        return data[start + (i % rows) * columns + Math.floor((i - start) / rows)]!;
      });
      return { name, tensor: { dtype, shape: [count, columns, rows], data: transposed } };
    });
    using written = new TemporaryDirectory();
    written.write('config.json', readFileSync(join(folder, 'config.json')));
    await writeSafetensors(join(written.path, 'model.safetensors'), turned);
    const { arena } = await loadCheckpoint(written.path);
    assert.deepEqual(arena.data, (await loadCheckpoint(folder)).arena.data);
    const saved = join(written.path, 'saved');
    await saveCheckpoint(saved, { from: written.path, arena });
    assert.ok(readFileSync(join(saved, 'model.safetensors')).equals(readFileSync(file)));
  });

  it('has graphs of kernels alone on CUDA, whose decoding steps are recorded', () => {
    const { text } = suite.model.config;
    const layer = decoderLayerGraph(text, NO_ADAPTERS, 'bf16', 'fused');
    const weights = layer.inputs.map(({ name }) => name).filter((name) => /Weight|Norm/.test(name));
    const { forward, backward } = differentiate(layer, {
      wrt: ['hidden', ...weights],
      accumulate: weights,
      save: 'costly',
    });
    for (const graph of [forward, backward, pagedStepGraph(text, 16, false, NO_ADAPTERS, 'bf16')]) {
      const kernels = kernelGraphOf(scheduled(graph, cuda), cuda);
      assert.ok(kernels !== undefined, graph.name);
      // All experts of a layer are in one product, and its sums with accumulators in another.
      const grouped = kernels.nodes.filter(({ type }) => type.startsWith('grouped'));
      assert.equal(grouped.length, graph === backward ? 6 : 3, graph.name);
    }
  });
});

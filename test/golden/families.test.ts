import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import type { Adapter } from '../../src/model/adapters/adapter.ts';
import { mergedTensor } from '../../src/model/adapters/merge.ts';
import { adapterLayout } from '../../src/model/adapters/model-adapters.ts';
import { selectModules } from '../../src/model/adapters/selection.ts';
import { loadCheckpoint, saveCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { decodeModelConfig } from '../../src/model/checkpoint/config-file.ts';
import { architectureOf } from '../../src/model/families.ts';
import { promptPositions } from '../../src/model/position-ids.ts';
import { packSequences } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { keyOf, Rng } from '../../src/rng.ts';
import { assertClose } from '../support/assert-close.ts';
import { FarDevice } from '../support/far-device.ts';
import { goldenCases, goldenJson, goldenPath } from '../support/golden.ts';
import { goldenFamilies, goldenFamily } from '../support/golden-family.ts';
import { goldenSequences, goldenSuite, wrongGradients } from '../support/golden-model.ts';
import { assertContinues } from '../support/greedy.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

/** Tolerance that the project promises for log-probabilities, in nats. */
const logProbTolerance = { atol: 1e-4 };
/** Bound that the project promises for every parameter's gradient. */
const GRADIENT_BOUND = 1e-3;

/** Checks a tiny model of a family against what transformers computes with it. */
function agreesWithTransformers(family: string): void {
  const golden = goldenFamily(family);
  const { folder, cases, sequences, logProbs: expected } = golden;
  const suite = goldenSuite(golden.load);

  const logProbsOf = async (place: Device, arena: Arena, adapter?: Adapter) => {
    const options = { gradientCheckpointing: false, ...(adapter && { adapter }) };
    using policy = new Policy(place, suite.model.config, arena, options);
    return await policy.logProbs(packSequences(sequences), 1);
  };

  it('gives tokens the same positions', () => {
    for (const [i, one] of cases.entries()) {
      const { kind, grids = [] } = one.media ?? {};
      const secondsPerGrid = kind === 'video' ? grids.map(() => 1) : null;
      const found = promptPositions(suite.model.config, one.prompt_ids, { grids, secondsPerGrid });
      assert.deepEqual(found, sequences[i]!.prompt.positions);
    }
  });

  it('gives the same log-probabilities, by ops of ONNX and by fused ones', async () => {
    using card = new FarDevice(true);
    for (const place of [suite.device, card]) {
      assertClose(await logProbsOf(place, suite.model.arena), expected, logProbTolerance);
    }
  });

  for (const gradientCheckpointing of [false, true]) {
    const how = gradientCheckpointing ? 'recomputing blocks' : 'keeping activations';
    it(`gives every parameter the same gradient, ${how}`, async () => {
      const { config, arena } = suite.model;
      using policy = new Policy(suite.device, config, arena, { gradientCheckpointing });
      const gradients = arena.twin();
      const { weights } = golden;
      await policy.accumulateGradients(packSequences(sequences), 1, () => weights, gradients);
      assert.deepEqual(wrongGradients(gradients, golden.gradients(suite.model), GRADIENT_BOUND), []);
    });
  }

  for (const [how, open, maxSequences] of [
    ['block by block, in rows', () => openDevice({ threads: 1 }), 1],
    ['block by block, in columns', () => openDevice({ threads: 1 }), 4],
    ['by graphs of fixed shapes', () => new FarDevice(), 4],
    ['over a cache in pages', () => new FarDevice(true), 4],
  ] as const) {
    it(`continues greedily with the same tokens, ${how}`, async () => {
      using place = open();
      const limits = { maxSequences, maxPrefillTokens: 64 };
      const greedy = cases.map((one) => one.greedy);
      const how = { ...limits, ...logProbTolerance, stop: 0 };
      await assertContinues(place, suite.model, sequences, greedy, how);
    });
  }

  it('gives with adapters on all linear modules what it gives with them merged', async () => {
    const { config, arena } = suite.model;
    const modules = selectModules(config, { targets: 'all-linear', exclude: null });
    const spec = { rank: 3, alpha: 6, modules };
    const adapter: Adapter = { spec, arena: new Arena(adapterLayout(config, spec)) };
    const rng = new Rng(keyOf('family adapters', family));
    adapter.arena.data.forEach((_, i) => (adapter.arena.data[i] = 0.2 * rng.nextNormal()));
    const merged = new Arena(arena.layout);
    for (const { name } of merged.layout.entries) {
      merged.tensor(name).data.set(mergedTensor(name, arena, adapter).data);
    }
    const adapted = await logProbsOf(suite.device, arena, adapter);
    assertClose(adapted, await logProbsOf(suite.device, merged), { atol: 1e-4 });
    assert.ok(adapted.some((value, i) => Math.abs(value - expected[i]!) > 0.1));
  });

  it('saves the bytes that it loaded, with a config that transformers 4 reads too', async () => {
    using target = new TemporaryDirectory();
    const saved = join(target.path, 'saved');
    await saveCheckpoint(saved, { from: goldenPath(folder), arena: suite.model.arena });
    const bytesIn = (directory: string) => readFileSync(join(directory, 'model.safetensors'));
    assert.ok(bytesIn(saved).equals(bytesIn(goldenPath(folder))));
    const file = JSON.parse(readFileSync(join(saved, 'config.json'), 'utf8')) as object;
    const inner = 'text_config' in file ? (file.text_config as object) : file;
    assert.ok(Reflect.deleteProperty(inner, 'rope_parameters'));
    assert.deepEqual(decodeModelConfig(file, 'config.json'), suite.model.config);
  });
}

describe('a tiny model against transformers', () => {
  for (const family of goldenFamilies) {
    describe(family, () => agreesWithTransformers(family));
  }
});

describe('Qwen3-MoE whose experts have weights that are not divided by their sum, against transformers', () => {
  const golden = goldenJson('families/experts.json') as {
    readonly cases: readonly {
      readonly logprobs: readonly number[];
      readonly greedy: readonly number[];
    }[];
    readonly gradient_norms: Readonly<Record<string, number>>;
  };
  const { folder, sequences, weights } = goldenFamily('qwen3-moe');

  it('gives the same log-probabilities, tokens and gradients of the routers', async () => {
    const overrides = { norm_topk_prob: false };
    const { config, arena } = await loadCheckpoint(goldenPath(folder), { overrides });
    using device = openDevice({ threads: 1 });
    using policy = new Policy(device, config, arena, { gradientCheckpointing: false });
    const gradients = arena.twin();
    const keep = (logProbs: Float32Array): Float32Array => {
      const expected = golden.cases.flatMap(({ logprobs }) => logprobs);
      assertClose(logProbs, expected, logProbTolerance);
      return weights;
    };
    await policy.accumulateGradients(packSequences(sequences), 1, keep, gradients);
    for (const [name, wanted] of Object.entries(golden.gradient_norms)) {
      const norm = Math.hypot(...gradients.tensor(name).data);
      assertClose([norm], [wanted], { rtol: GRADIENT_BOUND }, name);
    }
    const greedy = golden.cases.map(({ greedy: ids }) => ({ ids }));
    const how = { maxSequences: 4, maxPrefillTokens: 64, ...logProbTolerance, stop: 0 };
    await assertContinues(device, { config, arena }, sequences, greedy, how);
  });
});

describe('Qwen2.5-VL with rotary frequencies scaled by YaRN, against transformers', () => {
  const golden = goldenJson('families/yarn.json') as {
    readonly rope_scaling: object;
    readonly cases: readonly {
      readonly id: number;
      readonly logprobs: readonly number[];
      readonly greedy: readonly number[];
    }[];
    readonly gradient_norms: Readonly<Record<string, number>>;
  };
  const sequences = golden.cases.map(({ id }) => goldenSequences()[id]!);
  const overrides = { rope_scaling: golden.rope_scaling };
  const suite = goldenSuite(() => loadCheckpoint(goldenPath('micro-vl'), { overrides }));

  it('gives the same log-probabilities, and gradients of the same size', async () => {
    const { config, arena } = suite.model;
    using policy = new Policy(suite.device, config, arena, { gradientCheckpointing: false });
    const gradients = arena.twin();
    const cases = goldenCases();
    const weights = Float32Array.from(golden.cases.flatMap(({ id }) => cases[id]!.weights));
    const keep = (logProbs: Float32Array): Float32Array => {
      const expected = golden.cases.flatMap(({ logprobs }) => logprobs);
      assertClose(logProbs, expected, logProbTolerance);
      return weights;
    };
    await policy.accumulateGradients(packSequences(sequences), 1, keep, gradients);
    const { inTransformers } = architectureOf(config).weights;
    for (const { name } of arena.layout.entries) {
      const norm = Math.hypot(...gradients.tensor(name).data);
      const wanted = golden.gradient_norms[inTransformers(name)]!;
      assertClose([norm], [wanted], { rtol: GRADIENT_BOUND }, name);
    }
  });

  it('continues greedily with the same tokens', async () => {
    const greedy = golden.cases.map(({ greedy: ids }) => ({ ids }));
    const how = { maxSequences: 2, maxPrefillTokens: 256, ...logProbTolerance, stop: 620 };
    await assertContinues(suite.device, suite.model, sequences, greedy, how);
  });
});

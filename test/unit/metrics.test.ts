import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import {
  flopsUtilization,
  peakTflops,
  trainingFlops,
} from '../../actors/trainer/report/utilization.ts';
import { tokenRows } from '../../src/algorithms/primitives.ts';
import {
  addMetricLists,
  dataMetrics,
  mergeMetrics,
  mismatchMetrics,
  performanceMetrics,
  reduceMetrics,
  timingMetrics,
} from '../../src/metrics.ts';
import { readMachines } from '../../src/plan/machines.ts';
import { assertClose } from '../support/assert-close.ts';

describe('dataMetrics', () => {
  const batch = {
    ...tokenRows([3, 2], Uint8Array.of(1, 0, 1, 1, 1)),
    tokenScores: Float32Array.of(0, 9, 1, 0, 0.5),
    tokenRewards: Float32Array.of(-0.25, 9, 1, 0, 0.25),
    advantages: Float32Array.of(1, 9, 2, -4, 3),
    returns: Float32Array.of(1, 9, 2, 3, 4),
    promptLengths: [7, 4],
    maxPromptLength: 7,
    maxResponseLength: 4,
  };

  it('sums scores and rewards by sample, and looks at tokens that count', () => {
    assert.deepEqual(dataMetrics(batch), {
      'critic/score/mean': 0.75,
      'critic/score/max': 1,
      'critic/score/min': 0.5,
      'critic/rewards/mean': 0.5,
      'critic/rewards/max': 0.75,
      'critic/rewards/min': 0.25,
      'critic/advantages/mean': 0.5,
      'critic/advantages/max': 3,
      'critic/advantages/min': -4,
      'critic/returns/mean': 2.5,
      'critic/returns/max': 4,
      'critic/returns/min': 1,
      'response_length/mean': 2,
      'response_length/max': 2,
      'response_length/min': 2,
      'response_length/clip_ratio': 0,
      'prompt_length/mean': 5.5,
      'prompt_length/max': 7,
      'prompt_length/min': 4,
      'prompt_length/clip_ratio': 0.5,
    });
  });

  it('says how much of the returns’ variance the critic explains', () => {
    const metrics = dataMetrics({ ...batch, values: Float32Array.of(1, 0, 2, 3, 2) });
    // var([0, 0, 0, 2]) = 1, var([1, 2, 3, 4]) = 5/3
    assertClose([metrics['critic/vf_explained_var']!], [1 - 1 / (5 / 3 + 1e-5)], { rtol: 1e-12 });
    assert.equal(metrics['critic/values/mean'], 2);
    const perfect = dataMetrics({ ...batch, values: batch.returns });
    assert.equal(perfect['critic/vf_explained_var'], 1);
  });
});

describe('timingMetrics and performanceMetrics', () => {
  it('divide generation by response tokens, updates by all tokens, and the rest by nothing', () => {
    const seconds = { gen: 2, update_actor: 3, step: 6 };
    assert.deepEqual(timingMetrics(seconds, { response: 1000, all: 1500 }), {
      'timing_s/gen': 2,
      'timing_per_token_ms/gen': 2,
      'timing_s/update_actor': 3,
      'timing_per_token_ms/update_actor': 2,
      'timing_s/step': 6,
    });
  });

  it('give tokens per second and device', () => {
    const memory = { usedMemoryBytes: 2 ** 31, peakMemoryBytes: 2 ** 29 };
    const step = { totalTokens: 1200, stepSeconds: 6, deviceCount: 2, ...memory };
    assert.deepEqual(performanceMetrics(step), {
      'perf/total_num_tokens': 1200,
      'perf/time_per_step': 6,
      'perf/throughput': 100,
      'perf/max_memory_allocated_gb': 0.5,
      'perf/max_memory_reserved_gb': 0.5,
      'perf/cpu_memory_used_gb': 2,
    });
  });
});

describe('mismatchMetrics', () => {
  it('says how far apart two lists of log-probabilities are, in the mean and at most', () => {
    const [sampled, computed] = [Float32Array.of(-1, -2, -4), Float32Array.of(-1.5, -2, -3)];
    assert.deepEqual(mismatchMetrics(sampled, computed), {
      'actor/rollout_train_mismatch/mean': 0.5,
      'actor/rollout_train_mismatch/max': 1,
    });
  });
});

describe('mergeMetrics', () => {
  it('takes all of them, and refuses two of one name rather than drop one', () => {
    assert.deepEqual(mergeMetrics({ a: 1 }, {}, { b: NaN }), { a: 1, b: NaN });
    assert.throws(
      () => mergeMetrics({ 'reward/invalid_responses': 1 }, { 'reward/invalid_responses': 0 }),
      { code: 'CONFIG_INVALID', message: /^metric reward\/invalid_responses is given twice/ },
    );
  });
});

describe('reduceMetrics', () => {
  it('takes plain means over the entries, and leaves out what has none', () => {
    assert.deepEqual(reduceMetrics({ a: [1, 2, 6], b: [] }), { a: 3 });
  });
});

describe('addMetricLists', () => {
  it('adds up what the workers have of each entry; one that has less adds nothing', () => {
    const lists = addMetricLists([{ a: [1, 2], b: [4] }, { a: [6] }, {}]);
    assert.deepEqual(lists, { a: [7, 2], b: [4] });
  });
});

describe('trainingFlops and flopsUtilization', () => {
  const sizes = {
    hiddenSize: 2,
    vocabSize: 5,
    layers: 3,
    heads: 2,
    kvHeads: 1,
    headDim: 1,
    intermediateSize: 4,
    experts: null,
  };

  it('count six operations per weight and token, and attention by squared length', () => {
    // weights (3·2·4 + 2·(2·2·1 + 2·1·1))·3 + 2·5·2 = 128; 6·128·5 + 12·1·2·3·(4 + 9)
    assert.equal(trainingFlops(sizes, [2, 3]), 3840 + 936);
  });

  it('count the weights of a mixture that a token meets', () => {
    const experts = {
      isStacked: false,
      count: 5,
      perToken: 2,
      intermediateSize: 3,
      isRenormed: true,
      denseLayers: [0],
    };
    // The MLP 3·2·4, and twice two experts 3·2·3 with a router 2·5: 24 + 2·(2·18 + 10) = 116 in place of 72.
    assert.equal(trainingFlops({ ...sizes, experts }, [2, 3]), 6 * (128 - 72 + 116) * 5 + 936);
  });

  it('compare with the peak of the card by the name it is sold under, an H200 being no H20', () => {
    assert.equal(peakTflops('NVIDIA H200'), 989);
    assert.equal(peakTflops('NVIDIA H20'), 148);
    const run = { seconds: 2, epochs: 2, product: 'NVIDIA A100-SXM4-80GB', deviceCount: 2 };
    assert.equal(flopsUtilization(312e12, run), 0.5);
    assert.equal(flopsUtilization(312e12, { ...run, product: 'Tesla T4' }), 0);
    assert.equal(flopsUtilization(312e12, { ...run, product: null }), 0);
  });

  it('take the peak of a card that plans are made for', async () => {
    const table = fileURLToPath(new URL('../../configs/machines.yaml', import.meta.url));
    const cards = (await readMachines(table)).flatMap((machine) => machine.cards ?? []);
    for (const { name, tflopsBf16 } of cards) assert.equal(peakTflops(name), tflopsBf16, name);
  });
});

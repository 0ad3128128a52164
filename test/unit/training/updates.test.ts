import assert from 'node:assert/strict';
import { packSequences, type PromptInput, type SequenceInput } from '../../../src/model/pack.ts';
import { Policy } from '../../../src/model/policy.ts';
import type { Device } from '../../../src/device/device.ts';
import { openDevice } from '../../../src/device/open.ts';
import { tensorOf, zeros } from '../../../src/tensor/tensor.ts';
import type { Experience } from '../../../src/training/experience.ts';
import {
  responseNumbers,
  responseScores,
  type Evaluation,
} from '../../../src/training/response-scores.ts';
import { microBatches } from '../../../src/training/micro-batches.ts';
import { miniBatches, type MiniBatch } from '../../../src/training/mini-batches.ts';
import { Optimization } from '../../../src/training/optimization.ts';
import { meanOf } from '../../../src/algorithms/token-statistics.ts';
import { policyLossOf } from '../../../src/training/losses.ts';
import { updateSupervised } from '../../../src/training/supervised-update.ts';
import { updateByMiniBatches, type UpdateOptions } from '../../../src/training/updates.ts';
import { hostNumbers } from '../../support/host-numbers.ts';
import { assertClose } from '../../support/assert-close.ts';
import {
  goldenSequences,
  loadGoldenModel,
  relativeError,
  textPrompt,
  type GoldenModel,
} from '../../support/golden-model.ts';
import { usualLoss } from '../../support/usual-loss.ts';

const loss = { ...usualLoss, klCoef: 0.1 };
const adamW = { betas: [0.9, 0.999], weightDecay: 0.01, maxGradNorm: 1 } as const;
const lossWithKl = policyLossOf({ ...loss, useKlLoss: true });
const whole = { size: 8, dynamic: false, maxTokens: 200 };
const update: UpdateOptions<Experience> = {
  loss: policyLossOf(loss),
  microBatch: whole,
  epochs: 1,
  temperature: 1,
  learningRate: 1e-3,
};

/** All samples of a lone learner, cut into mini-batches. */
function cut<S extends SequenceInput>(
  samples: readonly S[],
  size = samples.length,
): MiniBatch<S>[] {
  return miniBatches(samples, size, 1)[0]!;
}

/** A response of so many tokens. */
function sequenceOf(prompt: PromptInput, count: number): SequenceInput {
  return { prompt, response: zeros('i32', [count]) };
}

describe('training', () => {
  const sequences = goldenSequences();
  let device: Device;
  let model: GoldenModel;
  let policy: Policy;
  let optimization: Optimization;
  before(() => (device = openDevice({ threads: 1 })));
  after(() => device[Symbol.dispose]());
  beforeEach(async () => {
    model = await loadGoldenModel('micro-vl');
    policy = new Policy(device, model.config, model.arena, { gradientCheckpointing: false });
    optimization = new Optimization(device, model.arena, adamW);
  });
  afterEach(() => {
    optimization[Symbol.dispose]();
    policy[Symbol.dispose]();
  });

  /** The sequences with the policy's own log-probabilities as old and reference ones, shifted. */
  async function experiences(
    advantageOf: (i: number) => number,
    refShift = 0,
  ): Promise<Experience[]> {
    const logProbs = await responseScores(policy, sequences, whole);
    return sequences.map((sequence, i) => {
      const old = logProbs[i]!;
      const tensor = (data: Float32Array) => tensorOf('f32', [data.length], data);
      return {
        ...sequence,
        oldLogProbs: tensor(old),
        advantages: tensor(new Float32Array(old.length).fill(advantageOf(i))),
        refLogProbs: tensor(old.map((value) => value + refShift)),
      };
    });
  }

  const divisions = [
    { size: 1, dynamic: false, maxTokens: 200 },
    { size: 3, dynamic: false, maxTokens: 200 },
    { size: 2, dynamic: true, maxTokens: 150 },
  ];

  describe('microBatches', () => {
    it('cuts by count, the last one smaller', () => {
      const division = { size: 2, dynamic: false, maxTokens: 10 };
      const samples = [5, 5, 5, 5, 5].map((length) => sequenceOf(textPrompt([1, 2]), length));
      assert.deepEqual(microBatches(samples, division), [[0, 1], [2, 3], [4]]);
    });

    it('keeps to a token budget and leaves no sample out, when dynamic', () => {
      const samples = [90, 10, 60, 40, 100, 20, 30].map((length) =>
        sequenceOf(textPrompt([1]), length - 1),
      );
      const batches = microBatches(samples, { size: 1, dynamic: true, maxTokens: 110 });
      assert.deepEqual(
        batches.flat().sort((a, b) => a - b),
        [0, 1, 2, 3, 4, 5, 6],
      );
      assert.ok(batches.length >= Math.ceil(350 / 110) && batches.length < 7);
    });

    it('exceeds the budget with no two prompts, also where the sum of tokens would do with fewer passes', () => {
      const prompts = [1, 2, 3].map((token) => textPrompt([token, 0, 0, 0]));
      // Each prompt with its responses has 10 tokens, and the three have less than 2 x 16.
      const samples = prompts.flatMap((prompt) => [3, 3].map((n) => sequenceOf(prompt, n)));
      const batches = microBatches(samples, { size: 2, dynamic: true, maxTokens: 8 });
      assert.deepEqual(
        batches.sort((a, b) => a[0]! - b[0]!),
        [
          [0, 1],
          [2, 3],
          [4, 5],
        ],
      );
    });
  });

  it('keeps responses to one prompt together, and counts their prompt once', () => {
    const prompts = [textPrompt([1, 2, 3, 4, 5, 6, 7, 8]), textPrompt([9, 8, 7, 6, 5, 4, 3, 2])];
    const samples = prompts.flatMap((prompt) => [1, 2, 1].map((n) => sequenceOf(prompt, n)));
    const batches = microBatches(samples, { size: 3, dynamic: true, maxTokens: 4 });
    assert.deepEqual(
      batches.sort((a, b) => a[0]! - b[0]!),
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
    );
  });

  it('gives responses that share a prompt the log-probabilities and gradients they have alone', async () => {
    const shared = sequences.flatMap((sequence, i) => {
      const other = sequences[(i + 1) % sequences.length]!;
      return [sequence, { prompt: sequence.prompt, response: other.response }];
    });
    const gradients = [model.arena.twin(), model.arena.twin()];
    const derivative = (logProbs: Float32Array): Float32Array =>
      logProbs.map((_, t) => Math.sin(1 + t));
    let at = 0;
    const alone: number[] = [];
    for (const sequence of shared) {
      const from = at;
      const logProbs = await policy.logProbs(packSequences([sequence]), 1);
      const part = (values: Float32Array): Float32Array =>
        values.map((_, t) => Math.sin(1 + from + t));
      await policy.accumulateGradients(packSequences([sequence]), 1, part, gradients[0]!);
      at += logProbs.length;
      alone.push(...logProbs);
    }
    assertClose(await policy.logProbs(packSequences(shared), 1), alone, { atol: 2e-5 });
    await policy.accumulateGradients(packSequences(shared), 1, derivative, gradients[1]!);
    const scale = gradients[0]!.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assertClose(gradients[1]!.data, gradients[0]!.data, { rtol: 1e-4, atol: 1e-5 * scale });
  });

  it('scores responses alike however they are divided, in the order they were given', async () => {
    const logProbs: Evaluation = async (batch) => [await policy.logProbs(batch, 0.9)];
    const expected = await responseNumbers(logProbs, sequences, whole);
    for (const division of divisions) {
      const reports: number[] = [];
      const scored = await responseNumbers(logProbs, sequences, division, (done) =>
        reports.push(done),
      );
      for (const [i, [part]] of scored.entries())
        assertClose(part!, expected[i]![0]!, { atol: 1e-5 });
      assert.equal(reports.at(-1), sequences.length);
    }
  });

  describe('updateByMiniBatches', () => {
    type Changes = Partial<UpdateOptions<Experience>>;
    const updated = (samples: readonly Experience[], changes: Changes = {}) =>
      updateByMiniBatches(policy, optimization, cut(samples), { ...update, ...changes });
    const gradientsAfter = async (samples: readonly Experience[], changes: Changes = {}) => {
      await updated(samples, { ...changes, learningRate: 0 });
      return hostNumbers(optimization.gradients).slice();
    };

    it('accumulates the same gradient however the mini-batch is divided', async () => {
      const samples = await experiences((i) => (i % 2 === 0 ? 1 : -0.5) * (1 + i / 8), 0.3);
      const expected = await gradientsAfter(samples, { loss: lossWithKl });
      for (const microBatch of divisions) {
        const divided = await gradientsAfter(samples, { loss: lossWithKl, microBatch });
        const error = relativeError(divided, expected);
        assert.ok(error < 1e-5, `relative error ${error}, ${JSON.stringify(microBatch)}`);
      }
    });

    it('has the policy gradient -mean(advantage · ∇log-probability) where nothing has moved yet', async () => {
      const advantageOf = (i: number): number => i - 3;
      const gradient = await gradientsAfter(await experiences(advantageOf));
      const expected = model.arena.twin();
      const counts = sequences.map(({ response }) => response.data.length);
      const total = counts.reduce((sum, count) => sum + count, 0);
      const slopes = counts.flatMap((count, i) =>
        Array<number>(count).fill(-advantageOf(i) / total),
      );
      const batch = packSequences(sequences);
      await policy.accumulateGradients(batch, 1, () => Float32Array.from(slopes), expected);
      assert.ok(relativeError(gradient, expected.data) < 1e-5);
    });

    it('counts only the tokens of its masks, however the mini-batch is divided', async () => {
      const samples = await experiences((i) => i - 3);
      const masked = samples.map((sample, i) => {
        const { length } = sample.response.data;
        const data = Uint8Array.from({ length }, (_, t) => Number(i !== 1 && (t + i) % 3 > 0));
        return { ...sample, mask: { dtype: 'u8', shape: [length], data } as const };
      });
      const counted = masked.flatMap(({ mask }) => [...mask.data]);
      const total = counted.reduce((sum, count) => sum + count, 0);
      const slopes = masked.flatMap(({ advantages, mask }) =>
        Array.from(mask.data, (count, t) => (-advantages.data[t]! * count) / total),
      );
      const expected = model.arena.twin();
      const batch = packSequences(sequences);
      await policy.accumulateGradients(batch, 1, () => Float32Array.from(slopes), expected);
      for (const microBatch of [update.microBatch, ...divisions]) {
        const gradient = await gradientsAfter(masked, { ...update, microBatch });
        assert.ok(relativeError(gradient, expected.data) < 1e-5, JSON.stringify(microBatch));
      }
    });

    it('has the slope of the mean entropy of responses as its bonus, and raises it', async () => {
      const samples = await experiences(() => 0);
      const bonus = { ...loss, lossAvgMode: 'seq-mean-token-mean', entropyCoeff: 0.5 } as const;
      const changes = { loss: policyLossOf(bonus), withEntropies: true };
      const expected = model.arena.twin();
      const lengths = sequences.map(({ response }) => response.data.length);
      const slopes = lengths.flatMap((length) =>
        Array<number>(length).fill(-0.5 / length / sequences.length),
      );
      const withEntropies = (logProbs: Float32Array) =>
        [logProbs.fill(0), Float32Array.from(slopes)] as const;
      const batch = packSequences(sequences);
      await policy.accumulateGradients(batch, 1, { withEntropies }, expected);
      for (const microBatch of [update.microBatch, divisions[0]!]) {
        const gradient = await gradientsAfter(samples, { ...changes, microBatch });
        assert.ok(relativeError(gradient, expected.data) < 1e-5, JSON.stringify(microBatch));
      }
      const entropy = async (): Promise<number> => {
        const measured: Evaluation = (batch) => policy.logProbsAndEntropies(batch, 1);
        const numbers = await responseNumbers(measured, sequences, whole);
        return meanOf(numbers.map(([, entropies]) => meanOf(entropies!)));
      };
      const before = await entropy();
      const { losses } = await updated(samples, changes);
      assertClose(losses['actor/entropy_bonus']!, [0.5 * before], { rtol: 1e-5 });
      assert.ok((await entropy()) > before);
    });

    it('leaves the weights alone but for their decay when there is nothing to learn', async () => {
      const before = model.arena.data.slice();
      const { gradientNorms } = await updated(await experiences(() => 0));
      assert.deepEqual(gradientNorms, [0]);
      assertClose(
        model.arena.data,
        before.map((value) => value * (1 - 1e-3 * 0.01)),
        { rtol: 2e-7 },
      );
    });

    it('makes responses with a positive advantage likelier, and others less likely', async () => {
      const samples = await experiences((i) => (i < 4 ? 1 : -1));
      const sumOf = async (): Promise<number[]> =>
        (await responseScores(policy, sequences, whole)).map((part) =>
          part.reduce((sum, value) => sum + value, 0),
        );
      const before = await sumOf();
      await updated(samples, { learningRate: 1e-4 });
      for (const [i, after] of (await sumOf()).entries()) {
        assert.ok(i < 4 ? after > before[i]! : after < before[i]!, `response ${i}`);
      }
    });

    it('takes a step per mini-batch and epoch, and reports each', async () => {
      const done: number[] = [];
      const { losses, gradientNorms } = await updateByMiniBatches(
        policy,
        optimization,
        cut(await experiences(() => 1), 3),
        { ...update, epochs: 2, microBatch: divisions[0]! },
        (n) => done.push(n),
      );
      assert.equal(gradientNorms.length, 6);
      assert.equal(losses['actor/pg_loss']?.length, 6);
      assert.equal((await optimization.gatherState())?.step, 6);
      assert.deepEqual(
        done,
        Array.from({ length: 16 }, (_, i) => i + 1),
      );
    });

    it('reports the same losses however the mini-batch is divided', async () => {
      const samples = await experiences((i) => i - 2, 0.3);
      const withKl = { loss: lossWithKl, learningRate: 0 };
      const lossesOf = async (microBatch: typeof whole) =>
        (await updated(samples, { ...withKl, microBatch })).losses;
      const expected = await lossesOf(whole);
      assert.ok(Math.abs(expected['actor/kl_loss']![0]!) > 1e-3);
      for (const division of divisions) {
        for (const [name, values] of Object.entries(await lossesOf(division))) {
          assertClose(values, expected[name]!, { rtol: 1e-5, atol: 1e-6 }, name);
        }
      }
    });

    it('gives the same bytes from the same start', async () => {
      const samples = await experiences((i) => i - 4);
      await updateByMiniBatches(policy, optimization, cut(samples, 3), update);
      const again = await loadGoldenModel('micro-vl');
      using fresh = new Policy(device, again.config, again.arena, {
        gradientCheckpointing: false,
      });
      using optimizer = new Optimization(device, again.arena, adamW);
      await updateByMiniBatches(fresh, optimizer, cut(samples, 3), update);
      assert.deepEqual(again.arena.data, model.arena.data);
    });

    it('leaves weights and moments alone when the gradient is not finite', async () => {
      const before = model.arena.data.slice();
      const samples = await experiences((i) => (i === 2 ? NaN : 1));
      const { gradientNorms } = await updated(samples);
      assert.deepEqual(gradientNorms, [NaN]);
      assert.deepEqual(model.arena.data, before);
      const { m, step } = (await optimization.gatherState())!;
      assert.equal(step, 0);
      assert.ok(m.data.every((value) => value === 0));
    });
  });

  describe('updateSupervised', () => {
    it('reports the mean negative log-likelihood and lowers it', async () => {
      const parts = await responseScores(policy, sequences, whole);
      const scores = parts.flatMap((part) => [...part]);
      const expected = -scores.reduce((sum, value) => sum + value, 0) / scores.length;
      const losses: number[] = [];
      for (let i = 0; i < 5; i++) {
        const step = await updateSupervised(policy, optimization, cut(sequences)[0]!, {
          microBatch: divisions[1]!,
          learningRate: 1e-3,
        });
        losses.push(step.loss);
      }
      assertClose([losses[0]!], [expected], { rtol: 1e-5 });
      for (let i = 1; i < 5; i++) assert.ok(losses[i]! < losses[i - 1]!, losses.join(', '));
    });

    it('accumulates the same gradient however the samples are divided', async () => {
      const gradientOf = async (microBatch: typeof whole): Promise<Float32Array> => {
        const options = { microBatch, learningRate: 0 };
        await updateSupervised(policy, optimization, cut(sequences)[0]!, options);
        return hostNumbers(optimization.gradients).slice();
      };
      const expected = await gradientOf(whole);
      for (const division of divisions)
        assert.ok(relativeError(await gradientOf(division), expected) < 1e-5);
    });

    it('counts the tokens of prompts and responses', async () => {
      const some: SequenceInput[] = sequences.slice(0, 2);
      const { tokens } = await updateSupervised(policy, optimization, cut(some)[0]!, {
        microBatch: whole,
        learningRate: 0,
      });
      assert.equal(tokens, 43 + 26 + 70 + 23);
    });
  });

  describe('Optimization', () => {
    it('skips a step whose gradient is not finite, and says so', async () => {
      const before = model.arena.data.slice();
      for (const bad of [NaN, Infinity]) {
        optimization.clearGradients();
        hostNumbers(optimization.gradients)[17] = bad;
        assert.ok(!Number.isFinite(await optimization.step(1e-3)));
      }
      assert.deepEqual(model.arena.data, before);
      optimization.clearGradients();
      hostNumbers(optimization.gradients)[17] = 2;
      assert.equal(await optimization.step(1e-3), 2);
      assert.notEqual(model.arena.data[17], before[17]);
    });
  });
});

import assert from 'node:assert/strict';
import { Arena } from '../../../src/model/weights/arena.ts';
import { layOut } from '../../../src/model/weights/arena-layout.ts';
import { packSequences, type SequenceInput } from '../../../src/model/pack.ts';
import { Policy } from '../../../src/model/policy.ts';
import { parameterGroups, visionLength } from '../../../src/model/parameters.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { effectOf } from '../../support/effect.ts';
import { assertClose } from '../../support/assert-close.ts';
import {
  goldenSequences,
  goldenSuite,
  loadGoldenModel,
  relativeError,
  textPrompt,
  tokens,
} from '../../support/golden-model.ts';
import { textModel } from '../../support/small-sizes.ts';

describe('Policy', () => {
  const sequences = goldenSequences();
  const suite = goldenSuite('micro-vl');
  let policy: Policy;
  before(() => {
    const { device, model, owned } = suite;
    const options = { gradientCheckpointing: true };
    policy = owned.use(new Policy(device, model.config, model.arena, options));
  });

  it('gives a distribution: probabilities of all tokens at a place sum to 1, at any temperature', async () => {
    const prompt = textPrompt([3, 1, 2]);
    const every = Array.from({ length: suite.model.config.text.vocabSize }, (_, id) => id);
    for (const temperature of [0.5, 1, 2]) {
      const batch = packSequences(every.map((id) => ({ prompt, response: tokens([id]) })));
      const logProbs = await policy.logProbs(batch, temperature);
      const total = logProbs.reduce((sum, value) => sum + Math.exp(value), 0);
      assertClose([total], [1], { atol: 1e-5 });
    }
  });

  it('gives the entropy of the distribution of each token, at any temperature', async () => {
    const prompt = textPrompt([3, 1, 2]);
    const every = Array.from({ length: suite.model.config.text.vocabSize }, (_, id) => id);
    for (const temperature of [0.5, 1, 2]) {
      const batch = packSequences(every.map((id) => ({ prompt, response: tokens([id]) })));
      const [logProbs, entropies] = await policy.logProbsAndEntropies(batch, temperature);
      assert.deepEqual(logProbs, await policy.logProbs(batch, temperature));
      const entropy = -logProbs.reduce((sum, value) => sum + Math.exp(value) * value, 0);
      assertClose(
        entropies,
        every.map(() => entropy),
        { rtol: 1e-5 },
      );
    }
  });

  it('is not moved by the sequences packed beside one, nor by their order', async () => {
    const alone = await Promise.all(
      sequences.map((sequence) => policy.logProbs(packSequences([sequence]), 1)),
    );
    const order = [5, 2, 7, 0, 4, 1, 6, 3];
    const packed = await policy.logProbs(packSequences(order.map((i) => sequences[i]!)), 1);
    const expected = order.flatMap((i) => [...alone[i]!]);
    assertClose(packed, expected, { atol: 1e-5 });
  });

  it('does not look ahead: a later token changes no earlier log-probability', async () => {
    const prompt = textPrompt([5, 6]);
    const score = async (ids: readonly number[]): Promise<Float32Array> =>
      await policy.logProbs(packSequences([{ prompt, response: tokens(ids) }]), 1);
    const [one, other] = [await score([1, 2, 3, 4, 5]), await score([1, 2, 3, 4, 99])];
    assert.deepEqual(one.subarray(0, 4), other.subarray(0, 4));
    assert.notEqual(one[4], other[4]);
  });

  it('gives the same bytes again, log-probabilities and gradients', async () => {
    const batch = packSequences(sequences.slice(0, 3));
    const run = async (): Promise<[Float32Array, Float32Array]> => {
      const gradients = suite.model.arena.twin();
      await policy.accumulateGradients(
        batch,
        1,
        (x) => new Float32Array(x.length).fill(1),
        gradients,
      );
      return [await policy.logProbs(batch, 1), gradients.data.slice()];
    };
    assert.deepEqual(await run(), await run());
  });

  it('adds to the gradients that are there', async () => {
    const gradients = suite.model.arena.twin();
    const batch = packSequences([sequences[1]!]);
    const add = async (): Promise<void> =>
      await policy.accumulateGradients(
        batch,
        1,
        (x) => new Float32Array(x.length).fill(0.5),
        gradients,
      );
    await add();
    const once = gradients.data.slice();
    await add();
    assert.ok(
      relativeError(
        gradients.data,
        once.map((value) => 2 * value),
      ) < 1e-6,
    );
  });

  it('hands the loss the same log-probabilities that it computes without a gradient', async () => {
    const batch = packSequences(sequences);
    let seen: Float32Array | undefined;
    await policy.accumulateGradients(
      batch,
      0.8,
      (logProbs) => {
        seen = logProbs.slice();
        return new Float32Array(logProbs.length);
      },
      suite.model.arena.twin(),
    );
    assertClose(seen!, await policy.logProbs(batch, 0.8), { atol: 1e-6 });
  });

  it('gives the slope of the loss along any direction, at temperature 0.7', async () => {
    const own = await loadGoldenModel('micro-vl');
    using moved = new Policy(suite.device, own.config, own.arena, { gradientCheckpointing: false });
    const batch = packSequences([sequences[2]!, sequences[4]!]);
    const gradients = own.arena.twin();
    const ones = (logProbs: Float32Array): Float32Array => logProbs.map(() => 1);
    await moved.accumulateGradients(batch, 0.7, ones, gradients);
    const rng = new Rng(keyOf('direction'));
    const direction = own.arena.data.map(() => rng.nextNormal());
    const start = own.arena.data.slice();
    const lossAt = async (step: number): Promise<number> => {
      start.forEach((value, i) => (own.arena.data[i] = value + step * direction[i]!));
      const logProbs = await moved.logProbs(batch, 0.7);
      return logProbs.reduce((sum, value) => sum + value, 0);
    };
    const step = 2e-5;
    const slope = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
    const expected = gradients.data.reduce((sum, value, i) => sum + value * direction[i]!, 0);
    // Central differences of float32 losses near 200 nats: rounding 1e-5 over the step, and curvature.
    assertClose([slope], [expected], { rtol: 2e-2 });
  });

  it('gives the slope of a loss of entropies along any direction, at temperature 0.7', async () => {
    const own = await loadGoldenModel('micro-vl');
    using moved = new Policy(suite.device, own.config, own.arena, { gradientCheckpointing: true });
    const batch = packSequences([sequences[2]!, sequences[4]!]);
    const gradients = own.arena.twin();
    const weights = (_: number, i: number): number => Math.sin(i + 1);
    const withEntropies = (logProbs: Float32Array, entropies: Float32Array) =>
      [logProbs.fill(0), entropies.map(weights)] as const;
    await moved.accumulateGradients(batch, 0.7, { withEntropies }, gradients);
    const rng = new Rng(keyOf('direction of entropies'));
    const direction = own.arena.data.map(() => rng.nextNormal());
    const start = own.arena.data.slice();
    const lossAt = async (step: number): Promise<number> => {
      start.forEach((value, i) => (own.arena.data[i] = value + step * direction[i]!));
      const [, entropies] = await moved.logProbsAndEntropies(batch, 0.7);
      return entropies.reduce((sum, value, i) => sum + weights(value, i) * value, 0);
    };
    const step = 2e-4;
    const slope = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
    const expected = gradients.data.reduce((sum, value, i) => sum + value * direction[i]!, 0);
    assertClose([slope], [expected], { rtol: 2e-2 });
  });

  effectOf('worker.actor.model.enable_gradient_checkpointing');
  it('keeps less when it computes blocks again, and comes to the same gradients', async () => {
    const batch = packSequences(sequences);
    const run = async (
      gradientCheckpointing: boolean,
    ): Promise<{ gradients: Arena; bytes: number }> => {
      const { config, arena } = suite.model;
      using one = new Policy(suite.device, config, arena, { gradientCheckpointing });
      const gradients = arena.twin();
      await one.accumulateGradients(batch, 1, (x) => x.map((value) => 1 / value), gradients);
      return { gradients, bytes: one.workspaceBytes };
    };
    const [kept, recomputed] = [await run(false), await run(true)];
    assert.ok(recomputed.bytes < 0.7 * kept.bytes, `${recomputed.bytes} of ${kept.bytes} bytes`);
    for (const { name } of suite.model.arena.layout.entries) {
      const [one, other] = [recomputed, kept].map(({ gradients }) => gradients.tensor(name).data);
      const error = relativeError(one!, other!);
      assert.ok(error < 1e-5, `${name}: relative error ${error}`);
    }
  });

  it('gives the text model the same gradients when the vision tower is frozen', async () => {
    const { config, arena } = await loadGoldenModel('micro-vl');
    const batch = packSequences(sequences);
    const [whole, text] = [arena.twin(), arena.from(visionLength(config)).twin()];
    for (const gradients of [whole, text]) {
      using one = new Policy(suite.device, config, arena, { gradientCheckpointing: false });
      await one.accumulateGradients(batch, 1, (x) => x.map((value) => 1 / value), gradients);
    }
    assert.ok(text.layout.entries.every(({ name }) => !name.startsWith('visual.')));
    assert.equal(text.layout.entries.length, 27);
    for (const { name } of text.layout.entries) {
      assert.deepEqual(text.tensor(name).data, whole.tensor(name).data, name);
    }
  });

  it('keeps what a vision tower that never changes made of images, and comes to the same', async () => {
    const { config, arena } = suite.model;
    const options = { gradientCheckpointing: false, isVisionFixed: true };
    using fixed = new Policy(suite.device, config, arena, options);
    const batches = [sequences, sequences.toReversed(), [sequences[2]!]].map((some) =>
      packSequences(some),
    );
    const first = await Promise.all(batches.map((batch) => fixed.logProbs(batch, 1)));
    for (const [i, batch] of batches.entries()) {
      assertClose(first[i]!, await policy.logProbs(batch, 1), { atol: 1e-5 });
      // Computed or kept, an image's numbers are the same.
      using fresh = new Policy(suite.device, config, arena, options);
      assert.deepEqual(await fresh.logProbs(batch, 1), first[i]);
      assert.deepEqual(await fixed.logProbs(batch, 1), first[i]);
    }
  });

  it('works in the memory of the step before', async () => {
    const batch = packSequences(sequences);
    const gradients = suite.model.arena.twin();
    const step = async (): Promise<void> =>
      await policy.accumulateGradients(batch, 1, (x) => new Float32Array(x.length), gradients);
    await step();
    const held = policy.workspaceBytes;
    for (let i = 0; i < 3; i++) await step();
    assert.equal(policy.workspaceBytes, held);
  });

  it('divides a head of many rows in chunks without changing a number', async () => {
    // A vocabulary this large leaves 83 rows to a chunk of 64 MiB.
    const sizes = { hiddenSize: 8, heads: 1, kvHeads: 1, headDim: 8, intermediateSize: 8 };
    const config = textModel({ ...sizes, vocabSize: 200_000 });
    const arena = new Arena(layOut(parameterGroups(config)));
    const rng = new Rng(keyOf('chunks'));
    arena.data.forEach((_, i) => (arena.data[i] = 0.3 * rng.nextNormal()));
    using wide = new Policy(suite.device, config, arena, { gradientCheckpointing: false });
    const long = [1, 2].map((k) => ({
      prompt: textPrompt([k]),
      response: tokens(Array.from({ length: 50 }, () => rng.nextBelow(200_000))),
    }));
    const weigh = (logProbs: Float32Array): Float32Array => logProbs.map((value) => 1 / value);
    const [chunked, whole] = [arena.twin(), arena.twin()];
    const scored: number[] = [];
    await wide.accumulateGradients(packSequences(long), 1, weigh, chunked);
    for (const sequence of long) {
      const batch = packSequences([sequence]);
      await wide.accumulateGradients(batch, 1, weigh, whole);
      scored.push(...(await wide.logProbs(batch, 1)));
    }
    assertClose(await wide.logProbs(packSequences(long), 1), scored, { atol: 1e-5 });
    for (const { name } of arena.layout.entries) {
      const error = relativeError(chunked.tensor(name).data, whole.tensor(name).data);
      assert.ok(error < 1e-5, `${name}: relative error ${error}`);
    }
  });

  it('refuses images and image tokens that do not match', async () => {
    const { prompt, response } = sequences[1]!;
    const truncated: SequenceInput = {
      prompt: {
        ...prompt,
        tokenIds: tokens([...prompt.tokenIds.data].map((id) => (id === 630 ? 5 : id))),
      },
      response,
    };
    await assert.rejects(policy.logProbs(packSequences([truncated]), 1), {
      code: 'DATA_INVALID',
      message: /0 image or video tokens in the text, but features for 16/,
    });
  });
});

import assert from 'node:assert/strict';
import { Arena, layOut } from '../../../src/model/arena.ts';
import { packSequences, type SequenceInput } from '../../../src/model/pack.ts';
import { Policy } from '../../../src/model/policy.ts';
import type { ModelConfig } from '../../../src/model/qwen2-5-vl/config.ts';
import { parameterGroups, visionLength } from '../../../src/model/qwen2-5-vl/weight-names.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { assertClose } from '../../support/assert-close.ts';
import {
  goldenSequences,
  loadGoldenModel,
  relativeError,
  textPrompt,
  tokens,
  type GoldenModel,
} from '../../support/golden-model.ts';

const tinyText = {
  hiddenSize: 8,
  layers: 1,
  heads: 1,
  kvHeads: 1,
  headDim: 8,
  intermediateSize: 8,
  rmsNormEps: 1e-6,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
  attentionBias: true,
} as const;

describe('Policy', () => {
  const sequences = goldenSequences();
  let runtime: Runtime;
  let model: GoldenModel;
  let policy: Policy;
  before(async () => {
    runtime = Runtime.open();
    model = await loadGoldenModel('micro-vl');
    policy = new Policy(runtime, model.config, model.arena, { gradientCheckpointing: true });
  });
  after(() => {
    policy[Symbol.dispose]();
    runtime[Symbol.dispose]();
  });

  it('gives a distribution: probabilities of all tokens at a place sum to 1, at any temperature', () => {
    const prompt = textPrompt([3, 1, 2]);
    const every = Array.from({ length: model.config.text.vocabSize }, (_, id) => id);
    for (const temperature of [0.5, 1, 2]) {
      const batch = packSequences(every.map((id) => ({ prompt, response: tokens([id]) })));
      const logProbs = policy.logProbs(batch, temperature);
      const total = logProbs.reduce((sum, value) => sum + Math.exp(value), 0);
      assertClose([total], [1], { atol: 1e-5 });
    }
  });

  it('is not moved by the sequences packed beside one, nor by their order', () => {
    const alone = sequences.map((sequence) => policy.logProbs(packSequences([sequence]), 1));
    const order = [5, 2, 7, 0, 4, 1, 6, 3];
    const packed = policy.logProbs(packSequences(order.map((i) => sequences[i]!)), 1);
    const expected = order.flatMap((i) => [...alone[i]!]);
    assertClose(packed, expected, { atol: 1e-5 });
  });

  it('does not look ahead: a later token changes no earlier log-probability', () => {
    const prompt = textPrompt([5, 6]);
    const score = (ids: readonly number[]): Float32Array =>
      policy.logProbs(packSequences([{ prompt, response: tokens(ids) }]), 1);
    const [one, other] = [score([1, 2, 3, 4, 5]), score([1, 2, 3, 4, 99])];
    assert.deepEqual(one.subarray(0, 4), other.subarray(0, 4));
    assert.notEqual(one[4], other[4]);
  });

  it('gives the same bytes again, log-probabilities and gradients', () => {
    const batch = packSequences(sequences.slice(0, 3));
    const run = (): [Float32Array, Float32Array] => {
      const gradients = model.arena.twin();
      policy.accumulateGradients(batch, 1, (x) => new Float32Array(x.length).fill(1), gradients);
      return [policy.logProbs(batch, 1), gradients.data.slice()];
    };
    assert.deepEqual(run(), run());
  });

  it('adds to the gradients that are there', () => {
    const gradients = model.arena.twin();
    const batch = packSequences([sequences[1]!]);
    const add = (): void =>
      policy.accumulateGradients(batch, 1, (x) => new Float32Array(x.length).fill(0.5), gradients);
    add();
    const once = gradients.data.slice();
    add();
    assert.ok(
      relativeError(
        gradients.data,
        once.map((value) => 2 * value),
      ) < 1e-6,
    );
  });

  it('hands the loss the same log-probabilities that it computes without a gradient', () => {
    const batch = packSequences(sequences);
    let seen: Float32Array | undefined;
    policy.accumulateGradients(
      batch,
      0.8,
      (logProbs) => {
        seen = logProbs.slice();
        return new Float32Array(logProbs.length);
      },
      model.arena.twin(),
    );
    assertClose(seen!, policy.logProbs(batch, 0.8), { atol: 1e-6 });
  });

  it('gives the slope of the loss along any direction, at temperature 0.7', async () => {
    const own = await loadGoldenModel('micro-vl');
    using moved = new Policy(runtime, own.config, own.arena, { gradientCheckpointing: false });
    const batch = packSequences([sequences[2]!, sequences[4]!]);
    const gradients = own.arena.twin();
    const ones = (logProbs: Float32Array): Float32Array => logProbs.map(() => 1);
    moved.accumulateGradients(batch, 0.7, ones, gradients);
    const rng = new Rng(keyOf('direction'));
    const direction = own.arena.data.map(() => rng.nextNormal());
    const start = own.arena.data.slice();
    const lossAt = (step: number): number => {
      start.forEach((value, i) => (own.arena.data[i] = value + step * direction[i]!));
      return moved.logProbs(batch, 0.7).reduce((sum, value) => sum + value, 0);
    };
    const step = 2e-5;
    const slope = (lossAt(step) - lossAt(-step)) / (2 * step);
    const expected = gradients.data.reduce((sum, value, i) => sum + value * direction[i]!, 0);
    // Central differences of float32 losses near 200 nats: rounding 1e-5 over the step, and curvature.
    assertClose([slope], [expected], { rtol: 2e-2 });
  });

  it('keeps less when it computes blocks again, and comes to the same gradients', () => {
    const batch = packSequences(sequences);
    const run = (gradientCheckpointing: boolean): { gradients: Arena; bytes: number } => {
      const { config, arena } = model;
      using one = new Policy(runtime, config, arena, { gradientCheckpointing });
      const gradients = arena.twin();
      one.accumulateGradients(batch, 1, (x) => x.map((value) => 1 / value), gradients);
      return { gradients, bytes: one.workspaceBytes };
    };
    const [kept, recomputed] = [run(false), run(true)];
    assert.ok(recomputed.bytes < 0.7 * kept.bytes, `${recomputed.bytes} of ${kept.bytes} bytes`);
    for (const { name } of model.arena.layout.entries) {
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
      using one = new Policy(runtime, config, arena, { gradientCheckpointing: false });
      one.accumulateGradients(batch, 1, (x) => x.map((value) => 1 / value), gradients);
    }
    assert.ok(text.layout.entries.every(({ name }) => !name.startsWith('visual.')));
    assert.equal(text.layout.entries.length, 27);
    for (const { name } of text.layout.entries) {
      assert.deepEqual(text.tensor(name).data, whole.tensor(name).data, name);
    }
  });

  it('keeps what a vision tower that never changes made of images, and comes to the same', () => {
    const { config, arena } = model;
    const options = { gradientCheckpointing: false, isVisionFixed: true };
    using fixed = new Policy(runtime, config, arena, options);
    const batches = [sequences, sequences.toReversed(), [sequences[2]!]].map((some) =>
      packSequences(some),
    );
    const first = batches.map((batch) => fixed.logProbs(batch, 1));
    for (const [i, batch] of batches.entries()) {
      assertClose(first[i]!, policy.logProbs(batch, 1), { atol: 1e-5 });
      // Computed or kept, an image's numbers are the same.
      using fresh = new Policy(runtime, config, arena, options);
      assert.deepEqual(fresh.logProbs(batch, 1), first[i]);
      assert.deepEqual(fixed.logProbs(batch, 1), first[i]);
    }
  });

  it('works in the memory of the step before', () => {
    const batch = packSequences(sequences);
    const gradients = model.arena.twin();
    const step = (): void =>
      policy.accumulateGradients(batch, 1, (x) => new Float32Array(x.length), gradients);
    step();
    const held = policy.workspaceBytes;
    for (let i = 0; i < 3; i++) step();
    assert.equal(policy.workspaceBytes, held);
  });

  it('divides a head of many rows in chunks without changing a number', () => {
    // A vocabulary this large leaves 83 rows to a chunk of 64 MiB.
    const config: ModelConfig = {
      architecture: 'Qwen2ForCausalLM',
      text: { ...tinyText, vocabSize: 200_000, mropeSection: null },
      vision: null,
      tokens: null,
      torchDtype: null,
    };
    const arena = new Arena(layOut(parameterGroups(config)));
    const rng = new Rng(keyOf('chunks'));
    arena.data.forEach((_, i) => (arena.data[i] = 0.3 * rng.nextNormal()));
    using wide = new Policy(runtime, config, arena, { gradientCheckpointing: false });
    const long = [1, 2, 3, 4].map((k) => ({
      prompt: textPrompt([k]),
      response: tokens(Array.from({ length: 50 }, () => rng.nextBelow(200_000))),
    }));
    const weigh = (logProbs: Float32Array): Float32Array => logProbs.map((value) => 1 / value);
    const [chunked, whole] = [arena.twin(), arena.twin()];
    const scored: number[] = [];
    wide.accumulateGradients(packSequences(long), 1, weigh, chunked);
    for (const sequence of long) {
      const batch = packSequences([sequence]);
      wide.accumulateGradients(batch, 1, weigh, whole);
      scored.push(...wide.logProbs(batch, 1));
    }
    assertClose(wide.logProbs(packSequences(long), 1), scored, { atol: 1e-5 });
    for (const { name } of arena.layout.entries) {
      const error = relativeError(chunked.tensor(name).data, whole.tensor(name).data);
      assert.ok(error < 1e-5, `${name}: relative error ${error}`);
    }
  });

  it('refuses images and image tokens that do not match', () => {
    const { prompt, response } = sequences[1]!;
    const truncated: SequenceInput = {
      prompt: {
        ...prompt,
        tokenIds: tokens([...prompt.tokenIds.data].map((id) => (id === 630 ? 5 : id))),
      },
      response,
    };
    assert.throws(() => policy.logProbs(packSequences([truncated]), 1), {
      code: 'DATA_INVALID',
      message: /0 image or video tokens in the text, but features for 16/,
    });
  });
});

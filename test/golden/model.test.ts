import assert from 'node:assert/strict';
import { DEFAULT_KEYS } from '../../src/data/row.ts';
import { LocalPixels } from '../../src/data/pixel-reader.ts';
import { SampleBuilder } from '../../src/data/sample.ts';
import type { Arena } from '../../src/model/weights/arena.ts';
import type { PackedBatch, TokenTree } from '../../src/model/batch.ts';
import { packSequences, type SequenceInput } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import { promptPositions } from '../../src/model/position-ids.ts';
import { cutEvery } from '../../src/training/micro-batches.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { ChatTemplate } from '../../src/text/chat-template.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { Optimization } from '../../src/training/optimization.ts';
import { loadProcessor } from '../../src/vision/processor.ts';
import { assertClose } from '../support/assert-close.ts';
import {
  goldenSequences,
  goldenSuite,
  goldenTexts,
  loadGoldenModel,
  tokens,
  wrongGradients,
  type GoldenModel,
} from '../support/golden-model.ts';
import { assertContinues } from '../support/greedy.ts';
import { goldenCases, goldenJson, goldenPath, goldenTensors } from '../support/golden.ts';

/** Tolerance that the project promises for log-probabilities, in nats; float32 gives about 5e-6. */
const logProbTolerance = { atol: 1e-4 };
/** Bound that the project promises for every parameter's gradient; float32 gives about 1e-5. */
const GRADIENT_BOUND = 1e-3;

interface PaddedBatch {
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[];
  /** `[3][B][T]` */
  readonly position_ids: readonly (readonly (readonly number[])[])[];
  readonly response_len: number;
  readonly response_mask: readonly (readonly number[])[];
  readonly logprobs: readonly (readonly number[])[];
}

interface AfterAdamW {
  readonly delta_norm: number;
  readonly first: readonly number[];
  readonly at: readonly number[];
  readonly values: readonly number[];
}

interface AdamWMeta {
  readonly lr: number;
  readonly betas: [number, number];
  readonly weight_decay: number;
  readonly max_grad_norm: number;
  readonly loss_after: number;
}

/** The reference's padded batch without its padding: the tokens its attention mask lets through. */
function unpadded(
  padded: PaddedBatch,
  images: Pick<PackedBatch, 'pixelValues' | 'grids'>,
): PackedBatch {
  const kept = padded.attention_mask.map((row) => [...row.keys()].filter((t) => row[t] === 1));
  const lengths = kept.map((columns) => columns.length);
  const tokenIds = kept.flatMap((columns, b) => columns.map((t) => padded.input_ids[b]![t]!));
  const positions = padded.position_ids.flatMap((axis) =>
    kept.flatMap((columns, b) => columns.map((t) => axis[b]![t]!)),
  );
  const scored: number[] = [];
  const trees: TokenTree[] = [];
  let start = 0;
  for (const [b, length] of lengths.entries()) {
    const responseTokens = padded.response_mask[b]!.reduce((sum, value) => sum + value, 0);
    trees.push({ prompt: length - responseTokens, responses: [responseTokens] });
    for (let j = 0; j < responseTokens; j++) scored.push(start + length - responseTokens - 1 + j);
    start += length;
  }
  return {
    ...images,
    tokenIds: Int32Array.from(tokenIds),
    positions: tensorOf('i32', [3, tokenIds.length], positions),
    trees,
    scoredRows: Int32Array.from(scored),
    targets: Int32Array.from(scored, (row) => tokenIds[row + 1]!),
  };
}

/** Gradients of Σ weight · log-probability over sequences divided into passes, from zero. */
async function gradientsOf(
  policy: Policy,
  { arena }: GoldenModel,
  passes: readonly (readonly { sequence: SequenceInput; weights: readonly number[] }[])[],
): Promise<Arena> {
  const gradients = arena.twin();
  for (const pass of passes) {
    const weights = Float32Array.from(pass.flatMap((part) => part.weights));
    const batch = packSequences(pass.map(({ sequence }) => sequence));
    await policy.accumulateGradients(batch, 1, () => weights, gradients);
  }
  return gradients;
}

describe('the model against transformers', () => {
  describe('Qwen2.5-VL', () => {
    const cases = goldenCases();
    const sequences = goldenSequences();
    const weighted = cases.map(({ weights }, i) => ({ sequence: sequences[i]!, weights }));
    const expectedGradients = goldenTensors('micro-vl-reference/grads.safetensors');
    const suite = goldenSuite('micro-vl');
    let policy: Policy;
    let checkpointing: Policy;
    before(() => {
      const { config, arena } = suite.model;
      const open = (gradientCheckpointing: boolean): Policy =>
        suite.owned.use(new Policy(suite.device, config, arena, { gradientCheckpointing }));
      [policy, checkpointing] = [open(false), open(true)];
    });

    for (const [i, golden] of cases.entries()) {
      it(`gives case ${golden.id} the same log-probabilities`, async () => {
        const logProbs = await policy.logProbs(packSequences([sequences[i]!]), 1);
        assertClose(logProbs, golden.logprobs, logProbTolerance);
      });
    }

    it('gives all cases the same log-probabilities in one packed pass', async () => {
      const expected = cases.flatMap(({ logprobs }) => logprobs);
      assertClose(await policy.logProbs(packSequences(sequences), 1), expected, logProbTolerance);
    });

    it('packs without padding what the reference pads to a batch', async () => {
      const padded = goldenJson('micro-vl-reference/batch.json') as PaddedBatch;
      const packed = packSequences(sequences);
      const batch = unpadded(padded, packed);
      assert.deepEqual(packed.tokenIds, batch.tokenIds);
      assert.deepEqual(packed.positions.data, batch.positions.data);
      assert.deepEqual(packed.scoredRows, batch.scoredRows);
      const expected = padded.logprobs.flatMap((row, b) =>
        row.filter((_, t) => padded.response_mask[b]![t] === 1),
      );
      assertClose(await policy.logProbs(batch, 1), expected, logProbTolerance);
    });

    for (const isCheckpointing of [false, true]) {
      const how = isCheckpointing ? 'recomputing blocks' : 'keeping activations';
      for (const size of [cases.length, 3, 1]) {
        it(`gives every parameter the same gradient, ${how}, ${size} cases a pass`, async () => {
          const chosen = isCheckpointing ? checkpointing : policy;
          const gradients = await gradientsOf(chosen, suite.model, cutEvery(weighted, size));
          assert.deepEqual(wrongGradients(gradients, expectedGradients, GRADIENT_BOUND), []);
        });
      }
    }

    it('makes the same parameters of one clipped AdamW step', async () => {
      const { config, arena } = await loadGoldenModel('micro-vl');
      const before = arena.data.slice();
      const meta = goldenJson('micro-vl-reference/meta.json') as {
        grad_norm: number;
        adamw: AdamWMeta;
      };
      const after = goldenJson('micro-vl-reference/grads.json') as {
        after_adamw: Record<string, AfterAdamW>;
      };
      const { lr, betas, weight_decay, max_grad_norm } = meta.adamw;
      using optimization = new Optimization(suite.device, arena, {
        betas,
        weightDecay: weight_decay,
        maxGradNorm: max_grad_norm,
      });
      using own = new Policy(suite.device, config, arena, { gradientCheckpointing: true });
      const weights = Float32Array.from(cases.flatMap((golden) => golden.weights));
      const batch = packSequences(sequences);
      await own.accumulateGradients(batch, 1, () => weights, optimization.gradients);
      const gradientNorm = await optimization.step(lr);
      assertClose([gradientNorm], [meta.grad_norm], { rtol: 1e-5 });
      for (const { name, offset } of arena.layout.entries) {
        const { delta_norm, first, at, values } = after.after_adamw[name]!;
        const { data } = arena.tensor(name);
        // A first step moves every element by about lr, 1e-3 here. Softmax all but
        // cancels the gradient of key biases, and Adam's division magnifies the rounding that is left.
        const bound = name.endsWith('k_proj.bias') ? { atol: 3e-6 } : { atol: 1e-6 };
        assertClose(data.subarray(0, first.length), first, bound, name);
        assertClose(
          at.map((index) => data[index]!),
          values,
          bound,
          name,
        );
        const delta = Math.hypot(...data.map((value, i) => value - before[offset + i]!));
        assertClose([delta], [delta_norm], { rtol: 1e-3 }, `${name} delta`);
      }
      const logProbs = await own.logProbs(batch, 1);
      const loss = logProbs.reduce((sum, value, i) => sum + value * weights[i]!, 0);
      assertClose([loss], [meta.adamw.loss_after], { rtol: 1e-4 });
    });

    for (const maxSequences of [3, 32]) {
      it(`continues every case greedily with the same tokens, ${maxSequences} at once`, async () => {
        const greedy = cases.map((one) => one.greedy);
        const limits = { maxSequences, maxPrefillTokens: 256, maxTokens: 24 };
        const how = { ...limits, ...logProbTolerance, stop: 620 };
        await assertContinues(suite.device, suite.model, sequences, greedy, how);
      });
    }

    it('gives the same log-probabilities from question and PNG files, with its own pixel values', async () => {
      const checkpoint = goldenPath('micro-vl');
      const settings = loadProcessor(checkpoint);
      const bounds = { minPixels: null, maxPixels: null };
      const frames = 'joined' as const;
      const pixels = { image: settings, video: settings, frames, bounds, videoFps: 2 };
      const builder = new SampleBuilder({
        tokenizer: Tokenizer.load(checkpoint),
        chatTemplate: ChatTemplate.load(checkpoint),
        vision: { pixels: new LocalPixels(pixels), imageTokenId: 630, videoTokenId: 631 },
        positionsOf: (ids, grids, secondsPerGrid) =>
          promptPositions(suite.model.config, ids, { grids, secondsPerGrid }),
        promptFormat: null,
        keys: DEFAULT_KEYS,
        imageDir: goldenPath('micro-vl-reference'),
        limitImages: 0,
        maxPromptLength: 200,
        maxResponseLength: 40,
      });
      for (const golden of cases.filter(({ messages }) => messages.length === 1)) {
        const content = golden.messages[0]!.content;
        const row = {
          file: 'cases.json',
          name: 'cases.json',
          line: golden.id + 1,
          prompt: content.map(({ type, text }) => (type === 'image' ? '<image>' : text)).join(''),
          answer: golden.response_text,
          images: golden.images,
          videos: null,
          history: [],
          fields: {},
        };
        const { tokenIds, ...sample } = await builder.build(row);
        const sequence = {
          prompt: { ...sample, tokenIds: tokens([...tokenIds]) },
          response: tokens([...builder.encodeAnswer(row)]),
        };
        // Pixel values are Pillow's within 1e-6 (see processing.test.ts), so nothing need be added to
        // the tolerance; a blank image instead of the real one moves log-probabilities by 3.8.
        const logProbs = await policy.logProbs(packSequences([sequence]), 1);
        assertClose(logProbs, golden.logprobs, logProbTolerance, `case ${golden.id}`);
      }
    });
  });

  describe('Qwen2 with tied embeddings in bfloat16', () => {
    const cases = goldenTexts();
    const sequences = cases.map(({ sequence }) => sequence);
    const suite = goldenSuite('micro-text');

    it('has one matrix for embedding and head', () => {
      assert.equal(suite.model.arena.has('lm_head.weight'), false);
      assert.equal(suite.model.config.text.tieWordEmbeddings, true);
    });

    for (const gradientCheckpointing of [false, true]) {
      const how = gradientCheckpointing ? 'recomputing blocks' : 'keeping activations';
      it(`gives the same log-probabilities, alone and packed, ${how}`, async () => {
        const { config, arena } = suite.model;
        using policy = new Policy(suite.device, config, arena, { gradientCheckpointing });
        for (const [i, { logprobs }] of cases.entries()) {
          const alone = await policy.logProbs(packSequences([sequences[i]!]), 1);
          assertClose(alone, logprobs, logProbTolerance, `case ${i}`);
        }
        const packed = await policy.logProbs(packSequences(sequences), 1);
        const expected = cases.flatMap(({ logprobs }) => logprobs);
        assertClose(packed, expected, logProbTolerance);
      });

      it(`gives every parameter the same gradient, both uses of the embedding in one, ${how}`, async () => {
        const { config, arena } = suite.model;
        using policy = new Policy(suite.device, config, arena, { gradientCheckpointing });
        const expected = goldenTensors('micro-text/grads.safetensors');
        for (const size of [cases.length, 1]) {
          const gradients = await gradientsOf(policy, suite.model, cutEvery(cases, size));
          assert.deepEqual(wrongGradients(gradients, expected, GRADIENT_BOUND), []);
        }
      });
    }

    it('continues greedily with the same tokens', async () => {
      const greedy = cases.map((one) => one.greedy);
      const limits = { maxSequences: 3, maxPrefillTokens: 20, maxTokens: 16 };
      const how = { ...limits, ...logProbTolerance, stop: 0 };
      await assertContinues(suite.device, suite.model, sequences, greedy, how);
    });
  });
});

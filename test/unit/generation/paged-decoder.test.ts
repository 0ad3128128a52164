import assert from 'node:assert/strict';
import type { Device, View } from '../../../src/device/device.ts';
import { openDevice } from '../../../src/device/open.ts';
import { GenerationEngine } from '../../../src/generation/engine.ts';
import { ControlledSampler } from '../../../src/generation/controlled-sampler.ts';
import { NO_CONTROLS } from '../../../src/generation/logit-control.ts';
import { takeDecoderWeights } from '../../../src/generation/decoder-weights.ts';
import { KernelSampler } from '../../../src/generation/kernel-sampler.ts';
import { PAGE_ROWS, PagedCache } from '../../../src/generation/paged-cache.ts';
import { PagedDecoder } from '../../../src/generation/paged-decoder.ts';
import type { PrefilledPrompt } from '../../../src/generation/prefill.ts';
import type {
  EngineOptions,
  GenerationRequest,
  Response,
} from '../../../src/generation/request.ts';
import { modelWeights } from '../../../src/model/model-weights.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { effectOf } from '../../support/effect.ts';
import { assertClose } from '../../support/assert-close.ts';
import { FarDevice } from '../../support/far-device.ts';
import { loadGoldenModel, textPrompt, type GoldenModel } from '../../support/golden-model.ts';
import { smallText } from '../../support/small-sizes.ts';

describe('PagedDecoder', () => {
  let model: GoldenModel;
  let device: FarDevice;
  before(async () => {
    model = await loadGoldenModel('micro-text');
    device = new FarDevice(true);
  });
  after(() => device[Symbol.dispose]());

  /** Prompts shorter and longer than a page, of three responses each that are drawn in every way. */
  const requests: readonly GenerationRequest[] = [5, 64, 130, 70].map((length, i) => ({
    prompt: textPrompt(Array.from({ length }, (_, at) => (at * 7 + i) % 90)),
    sampling: {
      temperature: [1, 0, 0.7, 1.3][i]!,
      topK: [-1, -1, 5, -1][i]!,
      topP: [1, 1, 1, 0.8][i]!,
    },
    maxTokens: 70,
    stopTokens: [3],
    seeds: [
      [i, 1],
      [i, 2],
      [i, 3],
    ],
  }));
  const options = { maxPrefillTokens: 200, bannedTokens: [1, 2] };

  async function generate(
    on: Device,
    own: Partial<EngineOptions>,
    asked: readonly GenerationRequest[] = requests,
  ): Promise<Response[]> {
    using engine = new GenerationEngine(on, model.config, model.arena, { ...options, ...own });
    await engine.generate(asked.slice(0, 1));
    return (await engine.generate(asked)).flat();
  }

  function assertAlike(responses: readonly Response[], expected: readonly Response[]): void {
    assert.equal(responses.length, expected.length);
    for (const [i, { tokenIds, logProbs, finishReason }] of expected.entries()) {
      assert.deepEqual([...responses[i]!.tokenIds.data], [...tokenIds.data], `${i}`);
      assertClose(responses[i]!.logProbs.data, logProbs.data, { atol: 1e-4 }, `${i}`);
      assert.equal(responses[i]!.finishReason, finishReason);
    }
  }

  it("draws the processor's tokens, in fewer slots than responses and in more", async () => {
    using host = openDevice({ threads: 1 });
    const expected = await generate(host, { maxSequences: 4 });
    for (const maxSequences of [5, 32]) {
      assertAlike(await generate(device, { maxSequences }), expected);
    }
  });

  it("draws the processor's tokens under penalties, bad words and min-p", async () => {
    using host = openDevice({ threads: 1 });
    const controls = {
      ...NO_CONTROLS,
      repetitionPenalty: 1.2,
      presencePenalty: 0.5,
      badWords: [[5], [7, 9]],
      minP: 0.01,
    };
    // One request has none, so that both kinds of draws are in one step.
    const controlled = requests.map((request, i) => (i === 2 ? request : { ...request, controls }));
    const expected = await generate(host, { maxSequences: 4 }, controlled);
    assertAlike(await generate(device, { maxSequences: 5 }, controlled), expected);
    assert.ok(expected.slice(0, 6).every(({ tokenIds }) => !tokenIds.data.includes(5)));
    const free = await generate(host, { maxSequences: 4 });
    assert.notDeepEqual(expected[0]!.tokenIds.data, free[0]!.tokenIds.data);
    assert.deepEqual(expected[6]!.tokenIds.data, free[6]!.tokenIds.data);
  });

  effectOf('worker.rollout.gpu_memory_utilization');
  it('has pages for as many sequences as its share of free memory holds', async () => {
    const { config, arena } = model;
    const pageBytes = PagedCache.pageBytes(config.text, 'f32');
    /** Number of sequences that may begin, of ten with three pages each. */
    const roomWith = async (freeBytes: number): Promise<number> => {
      using card = new FarDevice(true, freeBytes);
      const { vocabSize } = config.text;
      const sampler = new KernelSampler(card, vocabSize, []);
      using logitBias = card.allocate('f32', [vocabSize]);
      using controlled = new ControlledSampler(card, sampler, logitBias);
      const weights = modelWeights(card, config, 'policy', { arena, adapter: null });
      using decoder = new PagedDecoder({
        device: card,
        config,
        weights,
        taken: await takeDecoderWeights(config, weights),
        sampler,
        controlled,
        slots: 8,
        capacity: 3 * PAGE_ROWS,
        memoryShare: 0.5,
      });
      const waiting = Array.from({ length: 10 }, () => {
        const prompt = { layers: [], index: 0, start: 0, tokens: 2 * PAGE_ROWS + 1 };
        return { prompt, maxTokens: PAGE_ROWS - 1 };
      });
      return decoder.roomFor(waiting, 0);
    };
    assert.equal(await roomWith(2 * (3 * 4 + 1) * pageBytes), 4);
    assert.equal(await roomWith(2 * 1000 * pageBytes), 8);
    await assert.rejects(roomWith(2 * 3 * pageBytes), {
      code: 'DEVICE_OUT_OF_MEMORY',
      message: /gpu_memory_utilization/,
    });
  });

  it('draws the same tokens where sequences have to wait for memory', async () => {
    const expected = await generate(device, { maxSequences: 12 });
    // For the longest sequence, for a short one beside it, and nobody's.
    const pages = 4 + 2 + 1;
    const freeBytes = pages * PagedCache.pageBytes(model.config.text, 'f32');
    using card = new FarDevice(true, freeBytes);
    assertAlike(await generate(card, { maxSequences: 12, memoryShare: 1 }), expected);
  });
});

describe('PagedCache', () => {
  const text = { ...smallText, layers: 2, kvHeads: 1, headDim: 2 };
  let device: Device;
  before(() => (device = new FarDevice()));
  after(() => device[Symbol.dispose]());

  /** A prompt of numbers that count up, the pass's rows before it too. */
  function promptOf(start: number, tokens: number): PrefilledPrompt {
    const count = (start + tokens) * 2;
    const rows = (from: number): View => {
      const view = device.allocate('f32', [start + tokens, 1, 2]);
      const numbers = Array.from({ length: count }, (_, i) => from + i);
      device.upload(tensorOf('f32', view.shape, numbers), view);
      return view;
    };
    const layers = [0, 1].map((i) => ({ key: rows(1000 * i), value: rows(1000 * i + 500) }));
    return { layers, index: 0, start, tokens };
  }

  async function rowsOf(view: View, pages: readonly number[], tokens: number): Promise<number[]> {
    const all = await device.download(view);
    return pages
      .flatMap((page) => [...all.data.subarray(page * PAGE_ROWS * 2, (page + 1) * PAGE_ROWS * 2)])
      .slice(0, tokens * 2)
      .map(Number);
  }

  it('holds a prompt once for all its responses, but for what ends in a page', async () => {
    using cache = new PagedCache(device, text, 'f32', 6);
    const tokens = 2 * PAGE_ROWS + 1;
    const sequence = { prompt: promptOf(3, tokens), maxTokens: 1 };
    cache.enter(0, sequence);
    cache.enter(1, sequence);
    const [a, b] = [0, 1].map((slot) => cache.pagesFor(slot, tokens));
    assert.deepEqual(a!.slice(0, 2), b!.slice(0, 2));
    assert.equal(new Set([...a!, ...b!]).size, 4);
    for (const pages of [a!, b!]) {
      for (const [i, { keys, values }] of cache.layers.entries()) {
        const count = (from: number) => Array.from({ length: 2 * tokens }, (_, j) => from + 6 + j);
        assert.deepEqual(await rowsOf(keys, pages, tokens), count(1000 * i));
        assert.deepEqual(await rowsOf(values, pages, tokens), count(1000 * i + 500));
      }
    }
  });

  it('has room for those who share a prompt, and gives pages back when all have ended', () => {
    using cache = new PagedCache(device, text, 'f32', 5);
    const long = { prompt: promptOf(0, 2 * PAGE_ROWS), maxTokens: 1 };
    const short = { prompt: promptOf(0, 5), maxTokens: PAGE_ROWS };
    for (let round = 0; round < 3; round++) {
      // Two pages of the prompt, one of each response.
      assert.equal(cache.roomFor([long, long, long, long]), 3);
      cache.enter(0, long);
      cache.enter(1, long);
      assert.equal(cache.roomFor([short]), 0);
      assert.equal(cache.roomFor([long, long]), 1);
      assert.equal(cache.pagesFor(1, 2 * PAGE_ROWS).length, 3);
      cache.leave(0, 1);
      // The sequence has moved, its pages have not.
      assert.equal(cache.pagesFor(0, 2 * PAGE_ROWS).length, 3);
      assert.equal(cache.roomFor([short, short]), 1);
      cache.enter(1, short);
      assert.equal(cache.roomFor([long]), 0);
      cache.leave(1, 1);
      cache.leave(0, 0);
    }
  });
});

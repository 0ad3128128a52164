import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { GenerationEngine } from '../../../src/generation/engine.ts';
import type {
  EngineOptions,
  GenerationRequest,
  Response,
} from '../../../src/generation/request.ts';
import { Prefill } from '../../../src/generation/prefill.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { Policy } from '../../../src/model/policy.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { effectOf } from '../../support/effect.ts';
import { assertClose } from '../../support/assert-close.ts';
import {
  goldenSequences,
  goldenSuite,
  loadGoldenModel,
  textPrompt,
  tokens,
} from '../../support/golden-model.ts';

const sampling = { temperature: 1, topP: 1, topK: -1 };
const defaults: EngineOptions = { maxSequences: 4, maxPrefillTokens: 200, bannedTokens: [] };

/** Requests of mixed prompt lengths, with and without images, and mixed lengths and counts of responses. */
function mixedRequests(): GenerationRequest[] {
  return goldenSequences().map(({ prompt }, i) => ({
    prompt,
    sampling: {
      temperature: 0.7 + 0.1 * i,
      topP: i % 2 === 0 ? 1 : 0.9,
      topK: i % 3 === 0 ? 40 : -1,
    },
    maxTokens: 3 + 5 * i,
    stopTokens: [],
    seeds: Array.from({ length: 1 + (i % 3) }, (_, k) => keyOf('mixed', i, k)),
  }));
}

type PrefillRun = Parameters<Prefill['run']>;

function tokensOf(responses: readonly (readonly Response[])[]): number[][][] {
  return responses.map((list) => list.map(({ tokenIds }) => [...tokenIds.data]));
}

describe('GenerationEngine', () => {
  const suite = goldenSuite('micro-vl');

  const open = (options: Partial<EngineOptions> = {}): GenerationEngine =>
    new GenerationEngine(suite.device, suite.model.config, suite.model.arena, {
      ...defaults,
      ...options,
    });

  it('gives a response the same tokens whatever runs beside it and in which slot', async () => {
    const requests = mixedRequests();
    const expected: number[][][] = [];
    using alone = open({ maxSequences: 1 });
    for (const request of requests) {
      const responses: Response[] = [];
      for (const key of request.seeds) {
        responses.push((await alone.generate([{ ...request, seeds: [key] }]))[0]![0]!);
      }
      expected.push(...tokensOf([responses]));
    }
    for (const maxSequences of [1, 3, 32]) {
      using engine = open({ maxSequences });
      assert.deepEqual(
        tokensOf(await engine.generate(requests)),
        expected,
        `${maxSequences} slots`,
      );
      const backwards = await engine.generate(requests.toReversed());
      assert.deepEqual(tokensOf(backwards).toReversed(), expected, `${maxSequences}, backwards`);
    }
  });

  effectOf('worker.rollout.max_num_batched_tokens');
  it('gives the same tokens however prompts are divided into prefills', async () => {
    const requests = mixedRequests();
    using one = open({ maxSequences: 32, maxPrefillTokens: 1 });
    using all = open({ maxSequences: 32, maxPrefillTokens: 10_000 });
    assert.deepEqual(
      tokensOf(await one.generate(requests)),
      tokensOf(await all.generate(requests)),
    );
  });

  it('runs a prompt once for all its responses, those that wait for a slot included', async () => {
    const requests = mixedRequests();
    const prefilled: number[] = [];
    // oxlint-disable-next-line typescript/unbound-method -- applied to its own receiver below
    const original = Prefill.prototype.run;
    const run = mock.method(
      Prefill.prototype,
      'run',
      function (this: Prefill, ...args: PrefillRun) {
        prefilled.push(...args[0].trees.map(({ prompt }) => prompt));
        return original.apply(this, args);
      },
    );
    try {
      using engine = open({ maxSequences: 2 });
      await engine.generate(requests);
    } finally {
      run.mock.restore();
    }
    assert.deepEqual(
      prefilled,
      requests.map(({ prompt }) => prompt.tokenIds.data.length),
    );
  });

  it('reports the log-probabilities that the policy gives its tokens', async () => {
    const requests = mixedRequests();
    using engine = open({ maxSequences: 3 });
    using policy = new Policy(suite.device, suite.model.config, suite.model.arena, {
      gradientCheckpointing: false,
    });
    const results = await engine.generate(requests);
    // Nothing is banned here, and no policy scores a response with the placeholder of a picture or a video in it.
    const { imagePad, videoPad } = suite.model.config.tokens!;
    const isText = ({ tokenIds }: Response): boolean =>
      !tokenIds.data.includes(imagePad) && !tokenIds.data.includes(videoPad);
    for (const [i, { prompt, sampling: drawn }] of requests.entries()) {
      for (const { tokenIds, logProbs } of results[i]!.filter(isText)) {
        const batch = packSequences([{ prompt, response: tokenIds }]);
        const expected = await policy.logProbs(batch, drawn.temperature);
        assertClose(logProbs.data, expected, { atol: 1e-4 }, `request ${i}`);
      }
    }
  });

  it('gives one response per seed, different for different seeds', async () => {
    const prompt = textPrompt([1, 2, 3]);
    const seeds = Array.from({ length: 6 }, (_, k) => keyOf('responses', k));
    using engine = open();
    const request = { prompt, sampling, maxTokens: 10, stopTokens: [], seeds };
    const [responses] = tokensOf(await engine.generate([request]));
    assert.equal(new Set(responses!.map((ids) => ids.join())).size, 6);
    assert.deepEqual(tokensOf(await engine.generate([request])), [responses]);
  });

  it('draws first tokens in proportion to the distribution of the prompt', async () => {
    const prompt = textPrompt([5, 6, 7]);
    const count = 2000;
    using engine = open({ maxSequences: 16 });
    using policy = new Policy(suite.device, suite.model.config, suite.model.arena, {
      gradientCheckpointing: false,
    });
    const seeds = Array.from({ length: count }, (_, k) => keyOf('first', k));
    const [responses] = await engine.generate([
      { prompt, sampling: { ...sampling, topK: 4 }, maxTokens: 1, stopTokens: [], seeds },
    ]);
    const seen = new Map<number, number>();
    for (const { tokenIds } of responses!) {
      const token = tokenIds.data[0]!;
      seen.set(token, (seen.get(token) ?? 0) + 1);
    }
    const probabilities: number[] = [];
    for (const token of seen.keys()) {
      const batch = packSequences([{ prompt, response: tokens([token]) }]);
      probabilities.push(Math.exp((await policy.logProbs(batch, 1))[0]!));
    }
    const mass = probabilities.reduce((sum, value) => sum + value, 0);
    assert.equal(seen.size, 4);
    const statistic = [...seen.values()].reduce((sum, observed, i) => {
      const expected = (count * probabilities[i]!) / mass;
      return sum + (observed - expected) ** 2 / expected;
    }, 0);
    assert.ok(statistic < 16.27, `chi-square ${statistic}, 3 degrees of freedom`);
  });

  it('ends a response with the stop token, included, and else at maxTokens', async () => {
    const prompt = textPrompt([9, 8, 7]);
    const seeds = Array.from({ length: 12 }, (_, k) => keyOf('stop', k));
    const request = { prompt, sampling, maxTokens: 40, seeds };
    using engine = open();
    const [free] = await engine.generate([{ ...request, stopTokens: [] }]);
    const stopTokens = [free![0]!.tokenIds.data[5]!, free![1]!.tokenIds.data[0]!];
    const [stopped] = await engine.generate([{ ...request, stopTokens }]);
    for (const [i, { tokenIds, finishReason, logProbs }] of stopped!.entries()) {
      const whole = [...free![i]!.tokenIds.data];
      const at = whole.findIndex((token) => stopTokens.includes(token));
      assert.equal(finishReason, at < 0 ? 'length' : 'stop');
      assert.deepEqual([...tokenIds.data], at < 0 ? whole : whole.slice(0, at + 1));
      assert.equal(logProbs.data.length, tokenIds.data.length);
      assert.equal(whole.length, 40);
    }
    assert.equal(stopped![1]!.tokenIds.data.length, 1);
  });

  it('never samples a banned token, not even at a high temperature', async () => {
    const { imagePad, videoPad } = suite.model.config.tokens!;
    const allowed = [11, 12, imagePad];
    const banned = Array.from({ length: suite.model.config.text.vocabSize }, (_, id) => id).filter(
      (id) => id === imagePad || id === videoPad || !allowed.includes(id),
    );
    using engine = open({ maxSequences: 8, bannedTokens: banned });
    for (const temperature of [0, 0.01, 1, 50]) {
      const seeds = Array.from({ length: 8 }, (_, k) => keyOf('banned', k));
      const [responses] = await engine.generate([
        {
          prompt: textPrompt([1]),
          sampling: { ...sampling, temperature },
          maxTokens: 20,
          stopTokens: [],
          seeds,
        },
      ]);
      for (const { tokenIds, logProbs } of responses!) {
        assert.ok(tokenIds.data.every((token) => token === 11 || token === 12));
        assert.ok(logProbs.data.every((value) => value <= 0 && Number.isFinite(value)));
      }
    }
  });

  it('reads weights that change in place', async () => {
    const own = await loadGoldenModel('micro-vl');
    using engine = new GenerationEngine(suite.device, own.config, own.arena, defaults);
    const request = {
      prompt: textPrompt([1, 2, 3]),
      sampling: { ...sampling, temperature: 0 },
      maxTokens: 8,
      stopTokens: [],
      seeds: [keyOf('change')],
    };
    const first = tokensOf(await engine.generate([request]));
    const rng = new Rng(keyOf('noise'));
    own.arena.data.forEach((value, i) => (own.arena.data[i] = value + 0.05 * rng.nextNormal()));
    const second = tokensOf(await engine.generate([request]));
    using fresh = new GenerationEngine(suite.device, own.config, own.arena, defaults);
    assert.notDeepEqual(second, first);
    assert.deepEqual(second, tokensOf(await fresh.generate([request])));
  });

  it('rejects when cancelled and can be used again', async () => {
    const requests = mixedRequests();
    using engine = open({ maxSequences: 2 });
    const expected = tokensOf(await engine.generate(requests));
    const controller = new AbortController();
    let calls = 0;
    const onProgress = (): void => {
      if (++calls === 2) controller.abort();
    };
    await assert.rejects(engine.generate(requests, { signal: controller.signal, onProgress }), {
      code: 'RUNTIME_CANCELLED',
    });
    assert.equal(calls, 2);
    await assert.rejects(engine.generate(requests, { signal: AbortSignal.abort() }), {
      code: 'RUNTIME_CANCELLED',
    });
    const short = requests.map((request) => ({ ...request, maxTokens: 2 }));
    await assert.rejects(engine.generate(short, { signal: AbortSignal.abort() }), {
      code: 'RUNTIME_CANCELLED',
    });
    assert.deepEqual(tokensOf(await engine.generate(requests)), expected);
  });

  it('counts tokens and responses as it goes', async () => {
    const requests = mixedRequests();
    using engine = open();
    const reports: { tokens: number; responses: number }[] = [];
    const results = await engine.generate(requests, { onProgress: (at) => reports.push(at) });
    const all = results.flat();
    assert.deepEqual(reports.at(-1), {
      tokens: all.reduce((sum, { tokenIds }) => sum + tokenIds.data.length, 0),
      responses: all.length,
    });
    assert.ok(reports.every(({ tokens }, i) => i === 0 || tokens >= reports[i - 1]!.tokens));
  });

  it('answers no requests, or one without seeds, with nothing', async () => {
    using engine = open({ maxPrefillTokens: 1 });
    assert.deepEqual(await engine.generate([]), []);
    const [request] = mixedRequests();
    const [none, one] = await engine.generate([{ ...request!, seeds: [] }, request!]);
    assert.deepEqual([none, Object.keys(one!)], [[], ['0']]);
  });
});

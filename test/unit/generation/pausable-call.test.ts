import assert from 'node:assert/strict';
import { GenerationEngine } from '../../../src/generation/engine.ts';
import type { GenerationRequest, Response } from '../../../src/generation/request.ts';
import { packSequences, type PromptInput } from '../../../src/model/pack.ts';
import { Policy } from '../../../src/model/policy.ts';
import type { Device } from '../../../src/device/device.ts';
import { placeArena, type AnyArena } from '../../../src/model/weights/device-arena.ts';
import { openDevice } from '../../../src/device/open.ts';
import { keyOf } from '../../../src/rng.ts';
import { assertClose } from '../../support/assert-close.ts';
import { FarDevice } from '../../support/far-device.ts';
import {
  goldenSequences,
  loadGoldenModel,
  textPrompt,
  type GoldenModel,
} from '../../support/golden-model.ts';

/** The weight that only what leaves the last layer depends on, and no key or value. */
const LAST_NORM = 'model.norm.weight';

/** Some responses end before others, and some wait for a slot. */
function requestsFor(prompts: readonly PromptInput[]): GenerationRequest[] {
  return prompts.map((prompt, i) => ({
    prompt,
    sampling: { temperature: 1, topP: 1, topK: -1 },
    maxTokens: 6 + 8 * i,
    stopTokens: [],
    seeds: Array.from({ length: 1 + (i % 2) }, (_, k) => keyOf('pausable', i, k)),
  }));
}

/** Prompts of a model for text and of one for pictures too. */
const prompts = {
  'micro-text': [[3, 1, 2], [4], [1, 5, 9, 2, 6], [5, 3], [5, 8, 9, 7]].map(textPrompt),
  'micro-vl': goldenSequences().map(({ prompt }) => prompt),
};

describe('a call that is paused while its weights change', () => {
  let device: Device;
  let model: GoldenModel;
  let requests: GenerationRequest[];
  before(() => (device = openDevice({ threads: 1 })));
  after(() => device[Symbol.dispose]());
  const load = async (name: keyof typeof prompts): Promise<void> => {
    model = await loadGoldenModel(name);
    requests = requestsFor(prompts[name]);
  };

  const open = (on = device, arena: AnyArena = model.arena): GenerationEngine =>
    new GenerationEngine(on, model.config, arena, {
      ...{ maxSequences: 4, maxPrefillTokens: 200, bannedTokens: [] },
    });

  /** Responses of a call that is paused after some tokens, when `change` happens. */
  const paused = async (
    engine: GenerationEngine,
    cache: 'keep' | 'recompute',
    change: () => unknown,
  ): Promise<Response[][]> => {
    const pause = new AbortController();
    const call = engine.begin(requests, cache, {
      onProgress: ({ tokens }) => {
        if (tokens > 20) pause.abort(new Error('paused'));
      },
    });
    await assert.rejects(call.run(1, pause.signal), { code: 'RUNTIME_CANCELLED' });
    await change();
    const { signal } = new AbortController();
    const responses = await call.run(2, signal);
    assert.equal(await call.run(3, signal), responses);
    const versions = responses.flat().flatMap(({ policyVersions }) => [...policyVersions!.data]);
    assert.ok(versions.includes(1) && versions.includes(2));
    for (const { policyVersions, tokenIds } of responses.flat()) {
      assert.equal(policyVersions!.data.length, tokenIds.data.length);
      assert.deepEqual(policyVersions!.data, policyVersions!.data.toSorted());
    }
    return responses;
  };

  /** Log-probabilities of all tokens by the training network, a pass over whole sequences. */
  const computed = async (responses: readonly (readonly Response[])[]): Promise<Float32Array> => {
    using policy = new Policy(device, model.config, model.arena, { gradientCheckpointing: false });
    const sequences = responses.flatMap((some, i) =>
      some.map(({ tokenIds }) => ({ prompt: requests[i]!.prompt, response: tokenIds })),
    );
    return await policy.logProbs(packSequences(sequences), 1);
  };

  /** Log-probabilities that were sampled of the tokens of one version, and those of `all` at the same places. */
  const ofVersion = (
    version: number,
    responses: readonly (readonly Response[])[],
    all: Float32Array,
  ): [number[], number[]] => {
    const flat = responses.flat();
    const versions = flat.flatMap(({ policyVersions }) => [...policyVersions!.data]);
    const sampled = flat.flatMap(({ logProbs }) => [...logProbs.data]);
    const at = (values: ArrayLike<number>): number[] =>
      versions.flatMap((one, t) => (one === version ? [values[t]!] : []));
    return [at(sampled), at(all)];
  };

  const scale = (name: string, factor: number): void => {
    const { data } = model.arena.tensor(name);
    for (let i = 0; i < data.length; i++) data[i]! *= factor;
  };

  for (const cache of ['keep', 'recompute'] as const) {
    it(`gives the tokens of a call without a pause where they stay the same: ${cache}`, async () => {
      await load('micro-vl');
      using engine = open();
      const expected = await engine.generate(requests);
      const responses = await paused(engine, cache, () => undefined);
      const tokensOf = (of: typeof responses) =>
        of.map((some) => some.map(({ tokenIds }) => [...tokenIds.data]));
      assert.deepEqual(tokensOf(responses), tokensOf(expected));
      if (cache === 'recompute') return;
      const logProbsOf = (of: typeof responses) =>
        of.map((some) => some.map(({ logProbs }) => [...logProbs.data]));
      assert.deepEqual(logProbsOf(responses), logProbsOf(expected));
    });
  }

  it('computes keys and values again: each token is as likely as its version of the weights says', async () => {
    await load('micro-text');
    using engine = open();
    const before = model.arena.data.slice();
    const responses = await paused(engine, 'recompute', () => {
      for (const { name } of model.arena.layout.entries) scale(name, 1.1);
    });
    const now = await computed(responses);
    assertClose(...ofVersion(2, responses, now), { atol: 1e-4 });
    model.arena.data.set(before);
    const then = await computed(responses);
    assertClose(...ofVersion(1, responses, then), { atol: 1e-4 });
    const [sampled, old] = ofVersion(2, responses, then);
    assert.ok(sampled.some((value, i) => Math.abs(value - old[i]!) > 0.01));
  });

  it('keeps them: new weights count for new tokens alone', async () => {
    await load('micro-text');
    using engine = open();
    const kept = await paused(engine, 'keep', () => {
      scale(LAST_NORM, 1.5);
    });
    // No key and no value depends on that weight, so kept ones are those of the new weights.
    assertClose(...ofVersion(2, kept, await computed(kept)), { atol: 1e-4 });
    scale(LAST_NORM, 1 / 1.5);
    assertClose(...ofVersion(1, kept, await computed(kept)), { atol: 1e-4 });
    // All other weights are in keys and values of old tokens.
    const old = await paused(engine, 'keep', () => {
      for (const { name } of model.arena.layout.entries) scale(name, 1.1);
    });
    const [sampled, recomputed] = ofVersion(2, old, await computed(old));
    assert.ok(sampled.some((value, i) => Math.abs(value - recomputed[i]!) > 1e-3));
  });

  it('keeps them on a card, whose memory of prefill passes is free meanwhile', async () => {
    await load('micro-text');
    using card = new FarDevice();
    const seeds = Array.from({ length: 6 }, (_, k) => keyOf('pausable', k));
    requests = [{ ...requests[0]!, maxTokens: 40, seeds }]; // two of which wait for a slot
    using engine = open(card, placeArena(card, model.arena, 'f32'));
    const expected = await engine.generate(requests);
    const responses = await paused(engine, 'keep', () => {
      card.trim();
    });
    for (const [i, { tokenIds, logProbs }] of responses.flat().entries()) {
      assert.deepEqual([...tokenIds.data], [...expected.flat()[i]!.tokenIds.data]);
      assertClose(logProbs.data, expected.flat()[i]!.logProbs.data, { atol: 1e-5 });
    }
  });

  it('computes them again where other work had the decoder meanwhile', async () => {
    await load('micro-text');
    using engine = open();
    const expected = await engine.generate(requests);
    const responses = await paused(engine, 'keep', () => engine.generate(requests.slice(1, 2)));
    assert.deepEqual(
      responses.flat().map(({ tokenIds }) => [...tokenIds.data]),
      expected.flat().map(({ tokenIds }) => [...tokenIds.data]),
    );
  });
});

import assert from 'node:assert/strict';
import { playEpisodes, type EpisodeTools } from '../../../actors/rollout/episodes.ts';
import { episodeMetrics, policyTokens } from '../../../actors/trainer/episodes.ts';
import { scoreGroups } from '../../../actors/trainer/score.ts';
import { rewardProtocol } from '../../../actors/reward/protocol.ts';
import type { Episode } from '../../../actors/rollout/protocol.ts';
import type { GenerationRequest } from '../../../src/generation/request.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { tokenRows } from '../../../src/algorithms/primitives.ts';
import { correctMismatch } from '../../../src/training/correction.ts';
import { fakeRef } from '../../support/fake-ref.ts';
import { madePrompt, madeResponse } from '../../support/made-rollout.ts';

const f32 = (...values: readonly number[]) => tensorOf('f32', [values.length], values);

const response = (length: number, episode: Episode | null) =>
  madeResponse(new Array<number>(length).fill(0), { episode });

function episode(mask: readonly number[], turns: number, problem: string | null = null): Episode {
  return { mask: tensorOf('u8', [mask.length], mask), media: null, turns, texts: [], problem };
}

describe('responses of several turns', () => {
  it('count by the tokens that the policy sampled', () => {
    const scored = [
      { response: response(2, null) },
      { response: response(4, episode([1, 0, 0, 1], 2)) },
    ];
    const { offsets, mask } = policyTokens(scored);
    assert.deepEqual([...offsets], [0, 2, 6]);
    assert.deepEqual([...mask!], [1, 1, 1, 0, 0, 1]);
    assert.deepEqual(episodeMetrics(scored), {
      'num_turns/mean': 2,
      'num_turns/max': 2,
      'num_turns/min': 2,
    });
  });

  it('ask for no turn once none goes on', async () => {
    const asked: number[] = [];
    const engine = {
      generate: (requests: readonly GenerationRequest[]) => {
        asked.push(requests.length);
        return Promise.resolve(requests.map(({ seeds }) => seeds.map(() => response(2, null))));
      },
    };
    const environments = { begin: () => ({}), end: () => undefined };
    const limits = { maxAssistantTurns: 1, maxUserTurns: null };
    const observation = {
      tokenizer: { decode: (ids: readonly number[]) => `${ids.length} tokens` },
    };
    const tools = {
      ...{ engine, environments, limits, observation, stopTokens: [] },
    } as unknown as EpisodeTools;
    const task = { prompt: '', images: [], groundTruth: '', columns: {} };
    const prompt = { ...madePrompt('a'), seeds: [[1, 2] as [number, number]], task };
    const request = {
      prompts: [prompt],
      sampling: { temperature: 1, topP: 1, topK: -1 },
      maxTokens: 8,
    };
    const [group] = await playEpisodes(tools, request, { signal: new AbortController().signal });
    const { turns, texts } = group!.responses[0]!.episode!;
    assert.deepEqual([turns, texts], [1, ['2 tokens']]);
    assert.deepEqual(asked, [1]);
  });

  it('have no mask and no metrics where no environment took part', () => {
    const scored = [{ response: response(2, null) }];
    assert.equal(policyTokens(scored).mask, undefined);
    assert.deepEqual(episodeMetrics(scored), {});
  });

  it('are corrected as if the tokens of the environment were not there', () => {
    const options = {
      rolloutIs: 'token',
      rolloutIsThreshold: 2,
      rolloutIsBatchNormalize: true,
      rolloutRs: [{ criterion: 'token_k1', lower: 0.5, upper: 2 }],
    } as const;
    const ones = (length: number): Float32Array => new Float32Array(length).fill(1);
    const without = correctMismatch(options, {
      tokens: tokenRows([3]),
      rolloutLogProbs: [f32(-1, -2, -1)],
      oldLogProbs: [f32(-1.1, -1, -1.2)],
      advantages: ones(3),
    });
    const sampled = Uint8Array.of(1, 0, 1, 0, 1);
    const { metrics, masks, advantages } = correctMismatch(options, {
      tokens: tokenRows([5], sampled),
      rolloutLogProbs: [f32(-1, 0, -2, 0, -1)],
      oldLogProbs: [f32(-1.1, -9, -1, -7, -1.2)],
      advantages: ones(5),
    });
    assert.deepEqual(metrics, without.metrics);
    assert.deepEqual([...masks![0]!.data], [1, 0, 0, 0, 1]);
    assert.deepEqual(
      [...without.masks![0]!.data],
      [1, 0, 1].map((_, i) => Number(i !== 1)),
    );
    assert.deepEqual(
      advantages.filter((_, t) => sampled[t] === 1),
      without.advantages,
    );
  });

  it('are left out, unscored, where the environment broke off', async () => {
    const asked: string[] = [];
    const reward = fakeRef('reward', rewardProtocol, {
      score: ({ responses }) => {
        asked.push(...responses.map(({ name }) => name));
        const scored = responses.map(() => ({ text: '', problem: null, parts: { overall: 1 } }));
        return Promise.resolve({ scored, counts: {} });
      },
    });
    const prompt = madePrompt('rows:1');
    const responses = [response(2, episode([1, 1], 1, 'it hung')), response(2, episode([1, 1], 1))];
    const source = { name: null, weight: 1, actors: [reward], gate: undefined };
    const { signal } = new AbortController();
    const group = { id: 'a', prompt, policyVersion: 1, responses };
    const { scored, invalid } = await scoreGroups([source], [group], { ema: null }, signal);
    assert.deepEqual(asked, ['row rows:1, response 2 of 2']);
    assert.equal(scored.length, 1);
    assert.deepEqual(invalid, [{ name: 'row rows:1, response 1 of 2', problem: 'it hung' }]);
    // Where it broke off all of them, only the whole batch can tell whether enough is left.
    const broken = { ...group, responses: [responses[0]!] };
    const gate = { rule: 'ema', key: 'acc', bonus: [], emaAlpha: 0.5, emaMargin: 0 } as const;
    const none = await scoreGroups([{ ...source, gate }], [broken], { ema: 0.5 }, signal);
    assert.deepEqual([none.scored, none.invalid.length, none.gate], [[], 1, { ema: 0.5 }]);
  });
});

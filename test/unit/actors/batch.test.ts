import assert from 'node:assert/strict';
import { rewardProtocol } from '../../../actors/reward/protocol.ts';
import { rolloutProtocol, type GenerateRequest } from '../../../actors/rollout/protocol.ts';
import { sampleBatch, type ScoredBatch } from '../../../actors/trainer/batch.ts';
import { silentReporter } from '../../../actors/trainer/report/reporter.ts';
import type { StepContext } from '../../../actors/trainer/context.ts';
import { Stopwatch } from '../../../actors/trainer/report/timeline.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { PromptFeed } from '../../../actors/trainer/prompt-feed.ts';
import { dataProtocol } from '../../../actors/data/protocol.ts';
import type { GateSpec } from '../../../src/reward/gate.ts';
import { initialAdvanceState } from '../../../src/training/advance.ts';
import { decodedConfig } from '../../support/decoded-config.ts';
import { effectOf } from '../../support/effect.ts';
import { fakeRef } from '../../support/fake-ref.ts';
import { madePrompt, madeResponse } from '../../support/made-rollout.ts';

/** Requests that the fake actors got. */
interface Calls {
  readonly generated: GenerateRequest[];
  /** Responses of every call of a reward. */
  readonly scored: number[];
}

/**
 * A context whose prompt `p` of round `r` is called `p` and whose responses are single tokens: their index,
 * or -1 from a greedy pass. A response's reward is what `rewardOf` says.
 */
function contextOf(
  settings: { data?: object; algorithm?: object; trainer?: object },
  rounds: readonly (readonly string[])[],
  rewardOf: (prompt: string, sample: number, round: number) => number,
  gate?: GateSpec,
): { context: StepContext; calls: Calls } {
  const config = decodedConfig({
    data: { rollout_batch_size: 2, mini_rollout_batch_size: 2, ...settings.data },
    algorithm: settings.algorithm ?? {},
    worker: { rollout: { n: 2 } },
    trainer: settings.trainer ?? {},
  });
  const calls: Calls = { generated: [], scored: [] };
  let round = 0;
  const data = fakeRef('data', dataProtocol, {
    nextPrompts: () => {
      const names = rounds[round++];
      if (names === undefined) assert.fail('asked for more prompts than there are');
      const prompts = names.map((name) => ({
        ...madePrompt(name),
        groundTruth: `${name}@${round}`,
      }));
      const cursor = { epoch: 0, position: round };
      return Promise.resolve({ prompts, cursor, skipped: 0, notes: [] });
    },
  });
  const rollout = fakeRef('rollout', rolloutProtocol, {
    generate: (request) => {
      calls.generated.push(request);
      const isGreedy = request.sampling.temperature === 0;
      const groups = request.prompts.map(({ promptId, seeds }) => ({
        promptId,
        responses: seeds.map((_, sample) => madeResponse([isGreedy ? -1 : sample])),
      }));
      return Promise.resolve({ groups });
    },
  });
  const reward = fakeRef('reward', rewardProtocol, {
    score: ({ responses }) => {
      calls.scored.push(responses.length);
      const scored = responses.map(({ tokenIds, groundTruth }) => {
        const [name, at] = (groundTruth as string).split('@');
        const overall = rewardOf(name!, tokenIds.data[0]!, Number(at));
        return {
          text: '',
          problem: null,
          parts: Number.isNaN(overall)
            ? null
            : { overall, acc: overall, base_reward: overall, bonus: 1 },
        };
      });
      return Promise.resolve({ scored, counts: {} });
    },
  });
  const context = {
    actors: {
      task: { name: null, data, rewards: [{ name: null, weight: 1, actors: [reward], gate }] },
      replays: [],
      rollouts: [rollout],
    },
    weights: { version: 1 },
    plan: planRun(config),
    feed: new PromptFeed(),
    reporter: silentReporter,
    signal: new AbortController().signal,
  };
  return { context: context as unknown as StepContext, calls };
}

const state = {
  cursor: { epoch: 0, position: 0 },
  replay: [],
  gate: { ema: null },
  validationGate: { ema: null },
  klController: { kind: 'fixed', coef: 0 },
  entropyCoeff: undefined,
  advance: initialAdvanceState,
} as const;

const make = async ({ context }: { context: StepContext }): Promise<ScoredBatch> =>
  (await sampleBatch(context, state, 7, new Stopwatch())).scoreResponses(context.signal);
const promptsOf = ({ scored }: ScoredBatch): string[] =>
  scored.map(({ group }) => group.prompt.promptId);

describe('the batch of a step', () => {
  it('gathers rounds until it is full, scores them at once, and leaves what is over', async () => {
    const made = contextOf(
      { data: { rollout_batch_size: 3 } },
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
      () => 1,
    );
    const batch = await make(made);
    assert.deepEqual(promptsOf(batch), ['a', 'a', 'b', 'b', 'c', 'c']);
    assert.deepEqual(made.calls.scored, [6]);
    assert.deepEqual(batch.generated.flat(), batch.scored);
    assert.deepEqual(batch.taskStates.cursor, { epoch: 0, position: 2 });
  });

  it('tells two groups of a prompt apart, which get streams of their own', async () => {
    const made = contextOf(
      { data: { rollout_batch_size: 3 } },
      [
        ['a', 'b'],
        ['a', 'c'],
      ],
      () => 1,
    );
    const batch = await make(made);
    assert.deepEqual(promptsOf(batch), ['a', 'a', 'b', 'b', 'a', 'a']);
    assert.equal(new Set(batch.scored.map(({ group }) => group.id)).size, 3);
    const [first, second] = made.calls.generated;
    assert.notDeepEqual(second!.prompts[0]!.seeds, first!.prompts[0]!.seeds);
  });

  it('is refused when ReMax is left with no response that has a baseline', async () => {
    const overrides = {
      data: { rollout_batch_size: 2 },
      algorithm: { adv_estimator: 'remax' },
    };
    // Of a only the greedy response, which has no sample number, can be scored, and of b only the others.
    const rewardOf = (prompt: string, sample: number): number =>
      (prompt === 'a') === (sample === -1) ? 1 : NaN;
    await assert.rejects(make(contextOf(overrides, [['a', 'b']], rewardOf)), {
      code: 'REWARD_INVALID',
      message: /^2 responses could be scored, but of no prompt both .*adv_estimator=remax/,
    });
  });

  it('goes on past rounds that no response of could be scored, and is refused when all are', async () => {
    const rounds = [['a'], ['b'], ['c']];
    const remax = { data: { rollout_batch_size: 3 }, algorithm: { adv_estimator: 'remax' } };
    const few = { trainer: { max_try_make_batch: 3 } };
    const filtered = { algorithm: { online_filtering: true, filter_low: 0, filter_high: 1 } };
    for (const settings of [remax, { ...filtered, ...few, data: { rollout_batch_size: 1 } }]) {
      const some = contextOf(settings, rounds, (prompt, sample) => (prompt === 'c' ? sample : NaN));
      assert.deepEqual(promptsOf(await make(some)), ['c', 'c']);
      await assert.rejects(make(contextOf(settings, rounds, () => NaN)), {
        code: 'REWARD_INVALID',
        message: /^none of \d responses could be scored, the first being row a, response 1 of \d: /,
      });
    }
    const unlimited = { ...filtered, trainer: { max_try_make_batch: 0 } };
    await assert.rejects(make(contextOf(unlimited, rounds, () => NaN)), { code: 'REWARD_INVALID' });
  });

  describe('of online filtering', () => {
    const filtering = { online_filtering: true, filter_low: 0, filter_high: 1 };
    /** Groups whose name is in capitals are all right, others are half right, but for `x`, which is wrong. */
    const rewardOf = (prompt: string, sample: number): number =>
      prompt === 'x' ? 0 : prompt === prompt.toUpperCase() ? 1 : sample;

    it('keeps groups whose mean is strictly between the bounds, in order, and goes on past empty rounds', async () => {
      const rounds = [
        ['A', 'x'],
        ['B', 'a'],
        ['C', 'D'],
        ['b', 'c'],
      ];
      const made = contextOf({ algorithm: filtering }, rounds, rewardOf);
      const batch = await make(made);
      assert.deepEqual(promptsOf(batch), ['a', 'a', 'b', 'b']);
      assert.deepEqual(made.calls.scored, [4, 4, 4, 4], 'every round is scored at once');
      assert.deepEqual(batch.taskStates.cursor, { epoch: 0, position: 4 });
    });

    it('reports every response it scored, those it dropped too', async () => {
      const rounds = [
        ['A', 'x'],
        ['B', 'a'],
        ['b', 'c'],
      ];
      const batch = await make(contextOf({ algorithm: filtering }, rounds, rewardOf));
      assert.equal(batch.generated.flat().length, 12);
      const mean =
        batch.generated.flat().reduce((sum, { parts }) => sum + parts['overall']!, 0) / 12;
      assert.equal(mean, (2 + 0 + 2 + 1 + 1 + 1) / 12);
    });

    it('shows each round to the gate as a call of its own', async () => {
      const gate: GateSpec = {
        rule: 'ema',
        key: 'acc',
        bonus: ['bonus'],
        emaAlpha: 0.5,
        emaMargin: 0,
      };
      const rounds = [
        ['A', 'a'],
        ['x', 'x2'],
        ['b', 'B'],
      ];
      const low = (prompt: string, sample: number): number =>
        rewardOf(prompt.replace('2', ''), sample);
      const options = { ...filtering, filter_key: 'acc' };
      const batch = await make(contextOf({ algorithm: options }, rounds, low, gate));
      // Means .75, 0, .75: the second lies below the running mean, the third above what is left of it.
      assert.deepEqual(batch.taskStates.gate, { ema: 0.5 * 0.75 + 0.5 * (0.5 * 0.75) });
      assert.deepEqual(
        batch.generated.flat().map(({ parts }) => parts['overall']! - parts['base_reward']!),
        [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1],
      );
    });

    effectOf('trainer.max_try_make_batch');
    it('gives up after max_try_make_batch rounds, and says what to change', async () => {
      const rounds = [
        ['A', 'x'],
        ['B', 'a'],
        ['C', 'D'],
      ];
      const settings = { algorithm: filtering, trainer: { max_try_make_batch: 3 } };
      await assert.rejects(make(contextOf(settings, rounds, rewardOf)), {
        code: 'DATA_INVALID',
        message: /step 7 has 1 of 2 prompts after 3 rounds.*max_try_make_batch.*filter_low/,
      });
    });

    it('has no limit of rounds at 0', async () => {
      const rounds = [...Array.from({ length: 30 }, () => ['A', 'x']), ['a', 'b']];
      const settings = { algorithm: filtering, trainer: { max_try_make_batch: 0 } };
      assert.deepEqual(promptsOf(await make(contextOf(settings, rounds, rewardOf))), [
        ...['a', 'a'],
        ...['b', 'b'],
      ]);
    });

    it('names the parts there are when filter_key is none of them', async () => {
      const algorithm = { ...filtering, filter_key: 'f1' };
      await assert.rejects(make(contextOf({ algorithm }, [['a', 'b']], rewardOf)), {
        code: 'CONFIG_INVALID',
        message: /algorithm\.filter_key: the reward has no part "f1", only overall, acc/,
      });
    });
  });

  it('of ReMax has the reward of one greedy response to each prompt, scored before the others', async () => {
    const rewardOf = (prompt: string, sample: number): number =>
      sample < 0 ? (prompt === 'a' ? 0.25 : 0.5) : sample;
    const settings = { algorithm: { adv_estimator: 'remax' }, data: { rollout_batch_size: 3 } };
    const made = contextOf(
      settings,
      [
        ['a', 'b'],
        ['c', 'a'],
      ],
      rewardOf,
    );
    const { baselines, scored } = await make(made);
    assert.deepEqual(
      scored.map(({ group }) => baselines.get(group.id)),
      [0.25, 0.25, 0.5, 0.5, 0.5, 0.5],
    );
    assert.deepEqual(
      made.calls.generated.map(({ sampling, prompts }) => [
        sampling.temperature,
        prompts[0]!.seeds.length,
      ]),
      [
        [1, 2],
        [0, 1],
        [1, 2],
        [0, 1],
      ],
    );
    assert.deepEqual(made.calls.scored, [2, 2, 6]);
  });
});

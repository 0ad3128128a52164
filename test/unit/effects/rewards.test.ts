import assert from 'node:assert/strict';
import { readModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import { join } from 'node:path';
import { writeRewardCheckpoint } from '../../support/reward-checkpoint.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { judgeActor } from '../../../actors/judge/actor.ts';
import { rewardModelActor } from '../../../actors/reward-model/actor.ts';
import { rewardActor, type RewardProps } from '../../../actors/reward/actor.ts';
import { rewardProtocol } from '../../../actors/reward/protocol.ts';
import type { TaskReward } from '../../../actors/trainer/prompt-feed.ts';
import { scoreGroups } from '../../../actors/trainer/score.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { rewardPlans } from '../../../actors/trainer/settings.ts';
import type { Config } from '../../../src/config/schema.ts';
import { gateOver, gateStep, initialGateState } from '../../../src/reward/gate.ts';
import { rewardChoices, type RewardChoice } from '../../../src/reward/configured.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { goldenPath } from '../../support/golden.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { fakeRef } from '../../support/fake-ref.ts';
import { madePrompt, madeResponse } from '../../support/made-rollout.ts';
import { effectOf, effects } from '../../support/effect.ts';
import { assertChanges, configOf } from './changes.ts';

describe('a key of the config, of rewards,', () => {
  const model = `worker.actor.model.model_path=${goldenPath('micro-vl')}`;
  const usual = [model, 'worker.reward.reward_function=closed'];
  const tokenizer = Tokenizer.load(goldenPath('micro-vl'));
  // Right, and right but for what stands between its steps.
  const texts = [
    '<think>a</think><answer>B ✅</answer><|im_end|>',
    '<think>a</think>and<think>b</think><answer>B ✅</answer>',
  ];
  const responses = texts.map((text) => madeResponse(tokenizer.encode(text)));
  const prompt = { ...madePrompt('row'), groundTruth: '<think>a</think><answer>B ✅</answer>' };
  const group = { id: 'row', prompt, policyVersion: 1, responses };
  const { signal } = new AbortController();

  const factories = { function: rewardActor, judge: judgeActor, model: rewardModelActor };

  /** Rewards of a config, their actors on this thread. */
  const rewardsOf = (config: Config, stack: AsyncDisposableStack): Promise<TaskReward[]> =>
    Promise.all(
      rewardPlans(config).map(async ({ source, ...reward }) => {
        const environment = { logger: keepingLogger().logger } as never;
        const actor = await factories[source.kind].create(source.props as never, environment);
        stack.use(actor as typeof actor & AsyncDisposable);
        const ref = fakeRef('reward', rewardProtocol, {
          score: async (request) => actor.score(request, { signal } as never),
        });
        return { ...reward, actors: [ref] };
      }),
    );

  /** Texts and scores of the responses, and the gate after them. */
  const scored = async (config: Config): Promise<unknown> => {
    await using stack = new AsyncDisposableStack();
    const rewards = await rewardsOf(config, stack);
    const { scored, gate } = await scoreGroups(rewards, [group], initialGateState, signal);
    return [gate, scored.map(({ text, parts }) => [text, parts])];
  };

  effects(
    'changes the scores',
    [
      'worker.reward.reward_function=open',
      'worker.reward.reward_function_kwargs={format_weight: 0.5}',
      'worker.reward.form=faithful',
      'worker.reward.skip_special_tokens=false',
    ],
    (item) => assertChanges(scored, item, ...usual),
  );

  /** Rewards by a batch gate of two batches, of which the second is worse. */
  const gated = (config: Config): unknown => {
    const [{ gate }] = rewardChoices(config.worker.reward) as [RewardChoice];
    const batches = [0.9, 0.1].map((acc) => ({ base_reward: 1, acc, reason: acc, process: 0.25 }));
    let state = initialGateState;
    return batches.map((parts) => {
      const spec = gateOver(gate, parts);
      if (spec === undefined) return parts.base_reward;
      const step = gateStep(state, [parts], spec);
      ({ state } = step);
      return step.overall;
    });
  };

  effects(
    'changes what a batch is paid',
    [
      'worker.reward.gate.rule=always',
      'worker.reward.gate.rule=none',
      'worker.reward.gate.key=process',
      'worker.reward.gate.bonus=[reason]',
    ],
    (item) => assertChanges(gated, item, ...usual),
  );

  const told = (config: Config): unknown =>
    (rewardPlans(config)[0]!.source.props as RewardProps).file;
  effects(
    'reaches those who call a file',
    [
      'worker.reward.reward_type=sequential',
      'worker.reward.timeout_seconds=2',
      'worker.reward.invalid_responses=skip',
      'worker.reward.python=python3.12',
      'worker.reward.num_cpus=3',
    ],
    (item) => assertChanges(told, item, model, 'worker.reward.reward_function=./reward.py:score'),
  );

  const list = (...entries: readonly string[]): string =>
    `worker.reward.reward_functions=[${entries.map((entry) => `{${entry}}`).join(', ')}]`;
  const grade = 'name: grade, reward_function: closed';
  const form = 'name: form, reward_function: closed_plain';

  effectOf(
    'worker.reward.reward_functions',
    'worker.reward.reward_functions[].name',
    'worker.reward.reward_functions[].weight',
    'worker.reward.reward_functions[].reward_function',
    'worker.reward.reward_functions[].reward_function_kwargs',
    'worker.reward.reward_functions[].reward_function_name',
    'worker.reward.reward_functions[].gate.rule',
    'worker.reward.reward_functions[].gate.key',
    'worker.reward.reward_functions[].gate.bonus',
  );
  for (const [what, changed] of [
    ['the list', list(grade)],
    ['name', list(grade, form.replace('form', 'shape'))],
    ['weight', list(grade, `${form}, weight: 0.5`)],
    ['reward_function', list(grade, 'name: form, reward_function: open_plain')],
    [
      'reward_function_kwargs',
      list(grade, `${form}, reward_function_kwargs: {format_weight: 0.5}`),
    ],
    [
      'reward_function_name',
      list(
        grade,
        'name: form, reward_function: test/support/letters-reward.ts, reward_function_name: score',
      ),
    ],
    ['gate.rule', list(`${grade}, gate: {rule: none}`, form)],
    ['gate.key', list(`${grade}, gate: {key: process}`, form)],
    ['gate.bonus', list(`${grade}, gate: {bonus: [reason]}`, form)],
  ] as const) {
    it(`of one reward in a list changes the scores: ${what}`, () =>
      assertChanges(scored, changed, model, list(grade, form)));
  }

  effectOf('worker.reward.reward_functions[].reward_model.model_path');
  it('of a reward model changes the scores: model_path', async () => {
    using folder = new TemporaryDirectory();
    const [one, other] = [1, 2].map((seed) => join(folder.path, `${seed}`)) as [string, string];
    const { text } = await readModelConfig(goldenPath('micro-vl'));
    const width = text.hiddenSize;
    for (const [directory, scale] of [
      [one, 1],
      [other, -1],
    ] as const) {
      const weight = Array.from({ length: width }, (_, i) => scale * Math.sin(i));
      await writeRewardCheckpoint(directory, weight, 'micro-vl');
    }
    const of = (path: string): string => list(`name: liked, reward_model: {model_path: '${path}'}`);
    const sees = async (...items: string[]): Promise<boolean> =>
      planRun(await configOf(...items)).task.data.withImages;
    assert.deepEqual([await sees(model), await sees(model, of(one))], [false, true]);
    await assertChanges(
      scored,
      of(other),
      model,
      'trainer.device=cpu',
      'trainer.threads=1',
      of(one),
    );
  });
});

import { rewardActor, type RewardActor } from '../../../actors/reward/actor.ts';
import { rewardSettings } from '../../../actors/trainer/settings.ts';
import type { Config } from '../../../src/config/schema.ts';
import { gateOver, gateStep, initialGateState } from '../../../src/reward/gate.ts';
import { rewardChoice } from '../../../src/reward/configured.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { goldenPath } from '../../support/golden.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { scoreRequest } from '../../support/reward-input.ts';
import { effects } from '../../support/effect.ts';
import { assertChanges } from './changes.ts';

describe('a key of the config, of rewards,', () => {
  const model = `worker.actor.model.model_path=${goldenPath('micro-vl')}`;
  const usual = [model, 'worker.reward.reward_function=closed'];
  const tokenizer = Tokenizer.load(goldenPath('micro-vl'));
  // Right, and right but for what stands between its steps.
  const texts = [
    '<think>a</think><answer>B ✅</answer><|im_end|>',
    '<think>a</think>and<think>b</think><answer>B ✅</answer>',
  ];
  const request = scoreRequest(tokenizer, texts, '<think>a</think><answer>B ✅</answer>');

  /** Texts and scores of the responses, by an actor on this thread. */
  const scored = async (config: Config): Promise<unknown> => {
    const environment = { logger: keepingLogger().logger } as never;
    const actor = (await rewardActor.create(rewardSettings(config), environment)) as RewardActor;
    return actor.score(request, { signal: new AbortController().signal } as never);
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
    const { gate } = rewardChoice(config.worker.reward);
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

  const told = (config: Config): unknown => rewardSettings(config).file;
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
});

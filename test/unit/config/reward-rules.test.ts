import assert from 'node:assert/strict';
import { configFrom } from '../../../src/config/load.ts';
import { rewardChoices } from '../../../src/reward/configured.ts';

async function issuesWith(...items: readonly string[]): Promise<string[]> {
  const all = ['rollout.n=2', ...items.map((item) => `reward.${item}`)];
  const { issues } = await configFrom(
    all.map((item) => `worker.${item}`),
    { purpose: null, rewards: ['closed', 'open'] },
  );
  return issues.map(({ path, expected }) => `${path}: ${expected}`);
}

describe('a list of rewards', () => {
  const judge = '{base_url: http://localhost:1/v1, model: m}';
  const entry = '{name: a, reward_function: closed}';
  const place = 'worker.reward.reward_functions';

  for (const [items, problem] of [
    [
      [`reward_functions=[${entry}]`, 'reward_function=open'],
      'worker.reward.reward_function is set too; put it into the list, or set it to null',
    ],
    [
      [`reward_functions=[${entry}]`, 'reward_function_kwargs.alpha=0.5'],
      'worker.reward.reward_function_kwargs belong to one reward; put them into its entry of the list',
    ],
    [
      [`reward_functions=[${entry}]`, 'gate.rule=none'],
      'worker.reward.gate is that of one reward; put it into its entry of the list',
    ],
    [[`reward_functions=[${entry}, ${entry}]`], 'two rewards are called a'],
    [['reward_functions=[{name: a}]'], 'a takes one of reward_function, judge and reward_model'],
    [
      [`reward_functions=[{name: a, judge: ${judge}, gate: {rule: always}}]`],
      'a: a gate is of a reward_function',
    ],
    [
      ['reward_functions=[{name: a, reward_function: ./a.py:f, gate: {rule: ema}}]'],
      'a: ema over a file needs gate.key, the part to decide by, and gate.bonus, the parts to pay',
    ],
    [
      ['reward_functions=[{name: a, reward_function: close}]'],
      'a: expected ./file.ts:function, ./file.py:function or one of closed, open, got "close", did you mean closed?',
    ],
  ] as const) {
    it(`is refused plainly: ${problem}`, async () => {
      assert.deepEqual(await issuesWith(...items), [`${place}: ${problem}`]);
    });
  }

  it('may have one gate, which a file does not get by its parts', async () => {
    const listed = async (...entries: readonly string[]): Promise<unknown> => {
      const items = [`${place}=[${entries.map((one) => `{${one}}`).join(', ')}]`];
      const { config } = await configFrom(items, { purpose: null });
      return rewardChoices(config.worker.reward).map(({ name, weight, spec, gate }) => [
        ...[name, weight, spec],
        gate !== undefined,
      ]);
    };
    const [closed, file] = ['name: a, reward_function: closed', 'name: b, reward_function: ./r.py'];
    assert.deepEqual(await listed(closed, `${file}, weight: -0.5`), [
      ['a', 1, 'closed', true],
      ['b', -0.5, './r.py:main', false],
    ]);
    const both = [closed, 'name: c, reward_function: open'];
    await assert.rejects(listed(...both), /reward_functions: a and c have a gate each/);
    assert.deepEqual(await listed(both[0]!, `${both[1]}, gate: {rule: none}`), [
      ['a', 1, 'closed', true],
      ['c', 1, 'open', false],
    ]);
  });
});

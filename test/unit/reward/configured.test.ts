import assert from 'node:assert/strict';
import { configFrom } from '../../../src/config/load.ts';
import { gateOver } from '../../../src/reward/gate.ts';
import { rewardChoices, type RewardChoice } from '../../../src/reward/configured.ts';

async function choiceOf(...items: readonly string[]): Promise<RewardChoice> {
  const all = items.map((item) => `worker.reward.${item}`);
  const { config } = await configFrom(all, { purpose: null });
  return rewardChoices(config.worker.reward)[0]!;
}

describe('the reward that a config chooses', () => {
  it('is repaired unless the config says faithful', async () => {
    const usual = await choiceOf('reward_function=open');
    assert.deepEqual(usual.kwargs, { form: 'repaired' });
    const other = await choiceOf('reward_function=open', 'form=faithful');
    assert.deepEqual(other.kwargs, { form: 'faithful' });
  });

  it('has the gate of each of the released managers', async () => {
    const gateOf = async (...items: readonly string[]): Promise<unknown> => {
      const gate = gateOver((await choiceOf(...items)).gate, {});
      return gate && [gate.rule, gate.key, ...gate.bonus];
    };
    const thinkOnly = ['reward_function=open_think'];
    assert.deepEqual(await gateOf('reward_function=closed'), ['ema', 'acc', 'reason', 'process']);
    assert.deepEqual(await gateOf('reward_function=open'), ['ema', 'f1', 'reason', 'process']);
    assert.deepEqual(await gateOf(...thinkOnly), ['ema', 'f1', 'reason']);
    assert.deepEqual(await gateOf(...thinkOnly, 'gate.rule=always'), ['always', 'f1', 'reason']);
    assert.equal(await gateOf('reward_function=closed', 'gate.rule=none'), undefined);
    assert.equal(await gateOf('reward_function=closed_plain'), undefined);
    assert.equal(await gateOf('reward_function=./r.py:compute_score'), undefined);
  });

  it('puts the gate of a built-in over a file that returns its parts, and says so once', async () => {
    const chosen = async (parts: readonly string[], ...items: string[]) => {
      const all = ['reward_function=./r.py:f', ...items].map((item) => `worker.reward.${item}`);
      const { config } = await configFrom(all, { purpose: null });
      const notes: string[] = [];
      const [{ gate }] = rewardChoices(config.worker.reward, (line) => notes.push(line)) as [
        RewardChoice,
      ];
      const score = Object.fromEntries(parts.map((part) => [part, 0]));
      const [spec] = [gateOver(gate, score), gateOver(gate, score)];
      return { notes, gate: spec && [spec.rule, spec.key, ...spec.bonus, spec.emaAlpha] };
    };
    // The parts that CX-Mind's files return, and those of EasyR1's, which have no gate.
    const whole = ['overall', 'format', 'acc', 'reason', 'process', 'base_reward'];
    const { gate, notes } = await chosen(whole);
    assert.deepEqual(gate, ['ema', 'acc', 'reason', 'process', 0.2]);
    assert.deepEqual(notes, [
      './r.py:f returns the parts of the reward closed and gets its gate: base_reward, and reason and process while ' +
        'acc is not falling; worker.reward.gate.rule=none leaves overall as it is',
    ]);
    for (const [parts, wanted, ...items] of [
      [
        ['f1', 'reason', 'process', 'base_reward'],
        ['ema', 'f1', 'reason', 'process', 0.2],
      ],
      [
        ['f1', 'reason', 'base_reward'],
        ['ema', 'f1', 'reason', 0.2],
      ],
      [
        ['acc', 'reason', 'base_reward'],
        ['ema', 'acc', 'reason', 0.2],
      ],
      [whole, ['ema', 'acc', 'reason', 0.2], 'gate.bonus=[reason]'],
      [whole, ['ema', 'acc', 'reason', 'process', 0.5], 'reward_function_kwargs.ema_alpha=0.5'],
      [whole, undefined, 'gate.rule=none'],
      [['overall', 'format', 'accuracy'], undefined],
      [['acc', 'base_reward'], undefined],
      [['acc', 'reason', 'process'], undefined],
    ] as const) {
      assert.deepEqual((await chosen(parts, ...items)).gate, wanted, parts.join());
    }
  });

  it('puts any gate over a file, and keeps its weights from the function', async () => {
    const { spec, kwargs, gate } = await choiceOf(
      'reward_function=./r.py:compute_score',
      'reward_function_kwargs={ema_alpha: 0.5, ema_margin: 0.1, format_weight: 0.3}',
      'gate={rule: ema, key: acc, bonus: [reason, process]}',
    );
    assert.equal(spec, './r.py:compute_score');
    assert.deepEqual(kwargs, { format_weight: 0.3 });
    assert.deepEqual(gate, {
      rule: 'ema',
      key: 'acc',
      bonus: ['reason', 'process'],
      emaAlpha: 0.5,
      emaMargin: 0.1,
    });
  });

  it('leaves kwargs of that name to a function without a gate', async () => {
    const { kwargs } = await choiceOf(
      'reward_function=./r.py',
      'reward_function_kwargs.ema_alpha=7',
    );
    assert.deepEqual(kwargs, { ema_alpha: 7 });
  });

  it('refuses a weight that is none, and a gate over a file that does not say what it pays', async () => {
    await assert.rejects(
      choiceOf('reward_function=closed', 'reward_function_kwargs.ema_alpha=2'),
      /reward_function_kwargs\.ema_alpha: expected a number in \[0, 1\], got 2/,
    );
    const items = ['worker.reward.reward_function=./r.py:f', 'worker.reward.gate.rule=ema'];
    const { issues } = await configFrom(items, { purpose: null });
    const issue = issues.find(({ path }) => path === 'worker.reward.gate.rule');
    assert.match(issue!.expected, /ema over a file needs worker\.reward\.gate\.key/);
  });
});

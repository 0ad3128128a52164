import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { metricsOf, numbersOf, trainTiny, tinySuite } from '../support/tiny-run.ts';

describe('a run with an environment', () => {
  const { demo, path } = tinySuite();
  const run = path('run');
  const items = [
    'worker.rollout.multi_turn.enable=true',
    'worker.rollout.multi_turn.environment=test/support/counting-environment.ts:mirror',
    'worker.rollout.multi_turn.max_assistant_turns=3',
    'worker.reward.reward_function=test/support/letters-reward.ts:score',
    'data.max_response_length=120',
    'worker.rollout.max_num_batched_tokens=4096',
    'trainer.val_before_train=false',
    'trainer.val_freq=-1',
    'trainer.max_steps=2',
    'trainer.rollout_data_dir=rollouts',
  ];

  before(async () => {
    // A model that has learnt nothing ends a turn as seldom as it draws any token, so that every fourth one ends it.
    const file = join(demo, 'model/generation_config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as { eos_token_id: number[] };
    const ends = Array.from({ length: 130 }, (_, i) => 4 * i);
    writeFileSync(
      file,
      JSON.stringify({ ...config, eos_token_id: [...config.eos_token_id, ...ends] }),
    );
    await trainTiny(demo, run, items);
  });

  it('trains on the policy’s tokens alone, with pictures between its turns', () => {
    for (const line of metricsOf(run)) {
      assert.ok(line['num_turns/mean']! > 1.5 && line['num_turns/max']! === 3);
      // Every answer has more tokens than a turn has, and the policy's are counted.
      assert.ok(line['response_length/mean']! < 60);
      // The learner's pass over the whole sequence finds the log-probabilities that were sampled turn by turn: in both
      // the placeholders of pictures, two in 580 tokens, have no probability.
      assert.ok(line['actor/rollout_train_mismatch/max']! < 1e-4);
      assert.ok(Number.isFinite(line['actor/grad_norm']));
    }
  });

  it('records the turns of each response, the policy’s and what it was shown', () => {
    const lines = readFileSync(join(run, 'rollouts/1.jsonl'), 'utf8').trimEnd().split('\n');
    const recorded = lines.map((line) => (JSON.parse(line) as { turns: string[] }).turns);
    assert.ok(recorded.some((turns) => turns.length === 5));
    for (const turns of recorded) {
      assert.equal(turns.length % 2, 1);
      const shown = turns.filter((_, i) => i % 2 === 1);
      assert.ok(
        shown.every((text) => text.includes('Look again.')),
        JSON.stringify(turns),
      );
    }
  });

  it('leaves out the episodes that their environment broke off', () => {
    const left = metricsOf(run).map((line) => line['reward/invalid_responses']!);
    assert.ok(left.some((count) => count > 0));
  });

  it('gives the same numbers again', async () => {
    const again = path('again');
    await trainTiny(demo, again, items);
    assert.deepEqual(numbersOf(again), numbersOf(run));
  });

  it('does not begin with an environment that does not load', async () => {
    const wrong =
      'worker.rollout.multi_turn.environment=test/support/counting-environment.ts:miror';
    await assert.rejects(trainTiny(demo, path('wrong'), [...items, wrong]), {
      code: 'ENVIRONMENT_INVALID',
      message: /nearest is 'mirror'/,
    });
  });
});

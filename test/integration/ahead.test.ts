import assert from 'node:assert/strict';
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { effectOf } from '../support/effect.ts';
import {
  assertSameRun,
  keepingReporter,
  metricsOf,
  phaseReporter,
  tinySuite,
  trainedOf,
  trainTiny,
} from '../support/tiny-run.ts';

const items = [
  'worker.reward.reward_function=test/support/letters-reward.ts:score',
  'data.rollout_batch_size=6',
  'worker.actor.global_batch_size=6',
  'trainer.val_before_train=false',
  'trainer.max_steps=4',
];
const ahead = [...items, 'trainer.max_staleness=1', 'trainer.save_freq=1', 'trainer.val_freq=2'];

describe('a run whose rollouts are one step ahead', () => {
  const { demo, path } = tinySuite();
  /** Four steps without a stop, one step ahead; a checkpoint after each. */
  const whole = path('whole');
  const assertSameEnd = (run: string): void =>
    assertSameRun(run, whole, [
      'global_step_3/rollouts.safetensors',
      'global_step_4/actor/huggingface/model.safetensors',
      'global_step_4/actor/optimizer.safetensors',
      'global_step_4/trainer.json',
    ]);

  before(async () => {
    await trainTiny(demo, whole, ahead);
  });

  effectOf('trainer.max_staleness');
  it('samples each batch with the weights before the last update, and corrects for it', async () => {
    const [turns, untrained] = ['turns', 'untrained'].map((name) => path(name));
    await trainTiny(demo, turns!, [...items, 'trainer.max_steps=2']);
    await trainTiny(demo, untrained!, [...items, 'trainer.max_steps=2', 'worker.actor.optim.lr=0']);
    const [first, second, ...others] = metricsOf(whole);
    const responses = (line: object | undefined): unknown =>
      Object.fromEntries(
        Object.entries(line!).filter(([name]) => /^(reward|response_length)\//.test(name)),
      );
    // The first batch knows of no update, and neither does the second, unlike that of a run in turns.
    assert.deepEqual(responses(first), responses(metricsOf(turns!)[0]));
    assert.deepEqual(responses(second), responses(metricsOf(untrained!)[1]));
    assert.notDeepEqual(responses(second), responses(metricsOf(turns!)[1]));
    assert.deepEqual(
      [first, second, ...others].map((line) => line!['rollout/staleness']),
      [0, 1, 1, 1],
    );
    assert.deepEqual(
      metricsOf(whole).map((line) => line['rollout/stale_groups']),
      [0, 0, 0, 0],
    );
    const mismatch = (line: object | undefined): number =>
      (line as Record<string, number>)['actor/rollout_train_mismatch/mean']!;
    assert.equal(mismatch(first), mismatch(metricsOf(turns!)[0]));
    assert.ok(mismatch(second) > 10 * mismatch(first), `${mismatch(second)}`);
    const uncorrected = path('uncorrected');
    await trainTiny(demo, uncorrected, [
      ...ahead,
      'algorithm.rollout_correction.rollout_is=null',
      'trainer.max_steps=2',
    ]);
    const normOf = (run: string): unknown => metricsOf(run)[1]!['actor/grad_norm'];
    assert.notEqual(normOf(uncorrected), normOf(whole));
    assert.equal(metricsOf(turns!)[0]!['rollout/staleness'], undefined);
  });

  it('ends the same from a checkpoint, with the responses that were in flight at the save', async () => {
    const run = path('resumed');
    cpSync(whole, run, { recursive: true });
    await trainTiny(demo, run, [...ahead, `trainer.load_checkpoint_path=${run}/global_step_2`]);
    assertSameEnd(run);
  });

  it('ends the same after a preemption in the middle of an update', async () => {
    const run = path('preempted');
    const preemption = new AbortController();
    let updates = 0;
    const reporter = phaseReporter(({ name }) => {
      if (name === 'update' && ++updates === 2) preemption.abort(new Error('wanted back'));
    });
    const options = { reporter, preemption: preemption.signal };
    const summary = await trainTiny(demo, run, ahead, options);
    assert.deepEqual([summary.steps, summary.preempted], [2, true]);
    await trainTiny(demo, run, ahead);
    assertSameEnd(run);
  });

  it('goes on in turns without the responses that are too stale for that', async () => {
    const run = path('in-turns');
    cpSync(whole, run, { recursive: true });
    const { notes, reporter } = keepingReporter();
    const from = `trainer.load_checkpoint_path=${run}/global_step_3`;
    await trainTiny(demo, run, [...ahead, from, 'trainer.max_staleness=0'], { reporter });
    assert.match(notes.join('\n'), /6 groups of responses that were sampled ahead are dropped/);
    assert.equal(metricsOf(run).length, 4);
    assert.equal(existsSync(join(run, 'global_step_4/rollouts.safetensors')), false);
  });

  describe('and take new weights inside responses', () => {
    const partial = [
      ...items,
      'trainer.max_staleness=1',
      'trainer.save_freq=1',
      'trainer.max_steps=3',
      // So long that updates end before the responses do.
      'data.max_response_length=160',
      'worker.rollout.ignore_eos=true',
    ];

    effectOf('trainer.partial_rollout');
    for (const cache of ['keep', 'recompute']) {
      // Whether an update ends inside a response depends on who is faster. In `partial-rollouts.test.ts` one does.
      it(`trains on tokens that know their versions, and goes on from a checkpoint: ${cache}`, async () => {
        const run = path(cache);
        const mode = `trainer.partial_rollout=${cache}`;
        await trainTiny(demo, run, [...partial, mode]);
        const lines = metricsOf(run) as Record<string, number>[];
        assert.equal(lines.length, 3);
        for (const line of lines.slice(1)) {
          assert.equal(line['rollout/staleness_max'], 1);
          assert.ok(line['rollout/token_staleness']! <= line['rollout/staleness']!);
        }
        // The third batch was in flight at the save, and a resumed run trains on it as it was.
        const again = path(`${cache}-again`);
        cpSync(run, again, { recursive: true });
        await trainTiny(demo, again, [
          ...partial,
          mode,
          `trainer.load_checkpoint_path=${again}/global_step_2`,
        ]);
        assert.deepEqual(trainedOf(again), trainedOf(run));
        for (const name of ['reward/overall', 'rollout/token_staleness', 'rollout/partial_ratio']) {
          assert.equal(metricsOf(again)[2]![name], lines[2]![name], name);
        }
      });
    }
  });
});

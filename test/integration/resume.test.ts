import assert from 'node:assert/strict';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { start } from '../support/cxmind-process.ts';
import { effectOf } from '../support/effect.ts';
import {
  assertSameRun,
  keepingReporter,
  metricsBefore,
  numbersOf,
  tinySuite,
  trainTiny,
} from '../support/tiny-run.ts';

const program = join(import.meta.dirname, '../support/tiny-process.ts');

function summaryOf(run: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8')) as Record<string, unknown>;
}

function checkpointsOf(run: string): string[] {
  return readdirSync(run)
    .filter((name) => name.startsWith('global_step_'))
    .sort();
}

describe('a run that is resumed', () => {
  const { demo, path } = tinySuite();
  /** Four steps without a stop; a checkpoint at each, none removed. */
  const whole = path('whole');
  const items = [
    'worker.reward.reward_function=test/support/letters-reward.ts:score',
    'trainer.save_freq=1',
    'trainer.val_freq=2',
    'worker.actor.optim.lr_warmup_steps=3',
    // 16 rows in batches of 6: the epoch ends within the run.
    'data.rollout_batch_size=6',
    'worker.actor.global_batch_size=6',
  ];
  const file = (run: string, step: number, name: string): Buffer =>
    readFileSync(join(run, `global_step_${step}`, name));
  const assertSameEnd = (run: string): void =>
    assertSameRun(run, whole, [
      'global_step_4/actor/huggingface/model.safetensors',
      'global_step_4/actor/optimizer.safetensors',
      'global_step_4/trainer.json',
    ]);

  before(async () => {
    await trainTiny(demo, whole, [...items, 'trainer.max_steps=4']);
    for (const { 'critic/advantages/max': advantage } of numbersOf(whole)) {
      assert.ok(advantage! > 0, 'there is something to learn in every step');
    }
  });

  it('ends with the numbers, weights and moments of a run that never stopped', async () => {
    const run = path('halves');
    await trainTiny(demo, run, [...items, 'trainer.max_steps=2']);
    const summary = await trainTiny(demo, run, [...items, 'trainer.max_steps=4']);
    assert.equal(summary.steps, 4);
    const { val_accuracy_before: before } = summaryOf(whole);
    assert.equal(summary.val_accuracy_before, before);
    assertSameEnd(run);
    assert.equal(metricsBefore(run).length, 1);
    assert.deepEqual(metricsBefore(run), metricsBefore(whole));
  });

  it('says that it is done when all its steps are, and leaves what it wrote', async () => {
    const run = path('done');
    cpSync(whole, run, { recursive: true });
    const before = readFileSync(join(run, 'summary.json'), 'utf8');
    const { notes, reporter } = keepingReporter();
    const summary = await trainTiny(demo, run, [...items, 'trainer.max_steps=4'], { reporter });
    // the folder is a copy, and its checkpoint is found in it
    const checkpoint = join(run, 'global_step_4/actor/huggingface');
    assert.deepEqual(summary, { ...(JSON.parse(before) as object), checkpoint });
    assert.equal(readFileSync(join(run, 'summary.json'), 'utf8'), before);
    assert.ok(
      notes.includes(
        `${run}: this run is done, 4 of 4 steps, and stays as it is; for more steps raise trainer.max_steps or total_epochs`,
      ),
      notes.join('\n'),
    );
    assertSameEnd(run);
  });

  effectOf('trainer.load_checkpoint_path');
  it('begins at the checkpoint it is given, and forgets the steps after it', async () => {
    const run = path('given');
    cpSync(whole, run, { recursive: true });
    appendFileSync(join(run, 'metrics.jsonl'), '{"step": 5, "actor/');
    await trainTiny(demo, run, [
      ...items,
      'trainer.max_steps=4',
      `trainer.load_checkpoint_path=${run}/global_step_3`,
    ]);
    assertSameEnd(run);
  });

  effectOf('trainer.save_model_only', 'trainer.find_last_checkpoint');
  it('starts afresh where it is not to look for a checkpoint, and saves weights alone if told so', async () => {
    const run = path('afresh');
    cpSync(whole, run, { recursive: true });
    const told = ['trainer.find_last_checkpoint=false', 'trainer.save_model_only=true'];
    await trainTiny(demo, run, [...items, ...told, 'trainer.max_steps=1', 'trainer.val_freq=-1']);
    const trained = ([line]: readonly object[]): unknown =>
      Object.fromEntries(Object.entries(line!).filter(([name]) => !name.startsWith('val')));
    assert.equal(numbersOf(run).length, 1);
    assert.deepEqual(trained(numbersOf(run)), trained(numbersOf(whole)));
    const model = 'actor/huggingface/model.safetensors';
    assert.ok(file(run, 1, model).equals(file(whole, 1, model)));
    assert.equal(existsSync(join(run, 'global_step_1/actor/optimizer.safetensors')), false);
  });

  effectOf('trainer.save_limit');
  it('keeps the newest checkpoints and the best one', async () => {
    const run = path('limited');
    await trainTiny(demo, run, [...items, 'trainer.max_steps=4', 'trainer.save_limit=2']);
    const tracker = JSON.parse(readFileSync(join(run, 'checkpoint_tracker.json'), 'utf8')) as {
      best_global_step: number;
    };
    const kept = new Set([tracker.best_global_step, 4]);
    if (kept.size < 2) kept.add(3);
    assert.deepEqual(
      checkpointsOf(run),
      [...kept].sort().map((step) => `global_step_${step}`),
    );
    assertSameEnd(run);
  });

  it('never takes up a checkpoint that was being written when the run was killed, offloaded', async () => {
    const run = path('killed');
    // Changes no number, and so none of the end's.
    const offloaded = [
      ...items,
      'worker.actor.offload.offload_params=true',
      'worker.actor.offload.offload_optimizer=true',
      'worker.ref.offload.offload_params=true',
      'trainer.max_steps=4',
    ];
    // Writing takes milliseconds: again, until the kill falls into them.
    for (let attempt = 0; !existsSync(join(run, '.global_step_2.partial')); attempt++) {
      assert.ok(attempt < 5, 'no kill fell into the writing of a checkpoint');
      rmSync(run, { recursive: true, force: true });
      cpSync(whole, run, {
        recursive: true,
        filter: (source) => !/global_step_[234]/.test(source),
      });
      const tracker = join(run, 'checkpoint_tracker.json');
      const { last_global_step: _, ...rest } = JSON.parse(readFileSync(tracker, 'utf8')) as Record<
        string,
        unknown
      >;
      writeFileSync(tracker, JSON.stringify({ ...rest, last_global_step: 1, best_global_step: 1 }));

      const { child, ended } = start(process.execPath, [program, demo, run, ...offloaded]);
      const watcher = watch(run, (_, name) => {
        if (name === '.global_step_2.partial') child.kill('SIGKILL');
      });
      assert.equal(await ended, 'SIGKILL');
      watcher.close();
    }
    assert.deepEqual(checkpointsOf(run), ['global_step_1']);
    assert.ok(existsSync(join(run, '.global_step_2.partial')));

    // What a kill a little later leaves: a folder without an end, which no tracker names.
    mkdirSync(join(run, '.global_step_3.partial/actor'), { recursive: true });
    writeFileSync(join(run, '.global_step_3.partial/actor/optimizer.safetensors'), 'half');
    await trainTiny(demo, run, offloaded);
    assertSameEnd(run);
    assert.deepEqual(
      readdirSync(run).filter((name) => name.endsWith('.partial')),
      [],
    );
  });
});

import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Phase } from '../../actors/trainer/report/reporter.ts';
import { statusIn } from '../../src/dashboard/readers/status.ts';
import { cxmind, start, until } from '../support/cxmind-process.ts';
import {
  assertSameRun,
  endlessItems,
  keepingReporter,
  phaseReporter,
  tinyItems,
  tinySuite,
  trainedOf,
  trainTiny,
} from '../support/tiny-run.ts';

const items = [
  'worker.reward.reward_function=test/support/letters-reward.ts:score',
  'trainer.val_freq=1',
  'trainer.max_steps=3',
  'trainer.save_freq=-1',
];

describe('a run that is preempted', () => {
  const { demo, path } = tinySuite();
  /** Three steps without a stop. */
  const whole = path('whole');
  before(async () => {
    await trainTiny(demo, whole, items);
  });

  const assertSameEnd = (run: string): void =>
    assertSameRun(run, whole, [
      'global_step_3/actor/huggingface/model.safetensors',
      'global_step_3/actor/optimizer.safetensors',
      'global_step_3/trainer.json',
    ]);

  /** Phases come in this order: rollout (validation), then per step rollout, old, reference, update, rollout. */
  const cases: [string, (phases: readonly string[]) => boolean, number][] = [
    ['while it generates', (phases) => count(phases, 'rollout') === 4, 1],
    ['while it updates', (phases) => count(phases, 'update') === 2, 2],
    ['while it validates after a step', (phases) => count(phases, 'rollout') === 5, 2],
  ];
  for (const [when, isTime, step] of cases) {
    it(`${when} saves what is whole, and goes on from there to the same end`, async () => {
      const run = path(when.replaceAll(' ', '-'));
      const preemption = new AbortController();
      const phases: string[] = [];
      const reporter = phaseReporter(({ name }: Phase) => {
        phases.push(name);
        if (isTime(phases)) preemption.abort(new Error('wanted back'));
      });
      const summary = await trainTiny(demo, run, items, {
        reporter,
        preemption: preemption.signal,
      });
      assert.equal(summary.steps, step);
      assert.deepEqual(
        readdirSync(run).filter((name) => name.startsWith('global_step_')),
        [`global_step_${step}`],
      );
      const resumed = await trainTiny(demo, run, items);
      assert.equal(resumed.steps, 3);
      assertSameEnd(run);
    });
  }

  it('saves at once when it is asked to and goes on, and after the step where weights change', async () => {
    const run = path('asked');
    const saveRequests = new EventTarget();
    const phases: string[] = [];
    const reporter = phaseReporter(({ name }: Phase) => {
      phases.push(name);
      const isGenerating = name === 'rollout' && count(phases, 'rollout') === 4;
      const isUpdating = name === 'update' && count(phases, 'update') === 2;
      if (isGenerating || isUpdating) saveRequests.dispatchEvent(new Event('save'));
    });
    await trainTiny(demo, run, items, { reporter, saveRequests });
    assert.deepEqual(
      readdirSync(run).filter((name) => name.startsWith('global_step_')),
      ['global_step_1', 'global_step_2', 'global_step_3'],
    );
    assertSameEnd(run);
  });

  it('before its first step has nothing to save', async () => {
    const run = path('early');
    const preemption = AbortSignal.abort(new Error('wanted back'));
    await assert.rejects(trainTiny(demo, run, items, { preemption }), /^Error: wanted back$/);
    assert.equal(existsSync(join(run, 'checkpoint_tracker.json')), false);
    const status = await statusIn(run);
    assert.deepEqual([status?.state, status?.lastError], ['stopped', null]);
  });

  it('by a row that cannot be read saves what is whole, and goes on once that is mended', async () => {
    const run = path('bad-row');
    const broken = path('broken');
    cpSync(demo, broken, { recursive: true });
    const [last] = Object.keys(trainedOf(whole)[2]!.groups);
    const rows = readFileSync(join(demo, 'closed-train.jsonl'), 'utf8').split('\n');
    const { images } = JSON.parse(rows[Number(/(\d+)$/.exec(last!)![1]) - 1]!) as {
      images: string[];
    };
    const image = join(broken, images[0]!);
    truncateSync(image, 300);
    const { reporter, notes } = keepingReporter();
    await assert.rejects(trainTiny(broken, run, items, { reporter }), { code: 'DATA_INVALID' });
    assert.equal(
      notes.at(-1),
      `stopped after step 2 of 3; step 2 is saved in ${run}, the same command goes on from there`,
    );
    cpSync(join(demo, images[0]!), image);
    await trainTiny(broken, run, items);
    assertSameEnd(run);
  });

  describe('by SIGTERM', () => {
    const isTraining = (run: string): boolean =>
      existsSync(join(run, 'trained.jsonl')) && readFileSync(join(run, 'trained.jsonl')).length > 0;

    // Under launch it is the same command in the same process, and its actors are in others.
    it('exits with 0 after saving, under launch as alone', async () => {
      const run = path('term');
      const train = ['train', ...tinyItems(demo, run, [...items, ...endlessItems])];
      const { child, ended, output } = cxmind(['launch', '--host', 'localhost:1', '--', ...train]);
      await until(() => isTraining(run) || child.exitCode !== null);
      child.kill('SIGTERM');
      assert.equal(await ended, 0, output.stderr);
      const tracker = JSON.parse(
        readFileSync(join(run, 'checkpoint_tracker.json'), 'utf8'),
      ) as Record<string, number>;
      const step = tracker['last_global_step']!;
      assert.ok(step >= 1);
      assert.ok(existsSync(join(run, `global_step_${step}/actor/optimizer.safetensors`)));
      assert.match(
        output.stdout,
        new RegExp(
          `stopped after step ${step} of 100000, saved in ${run}; the same command goes on from there`,
        ),
      );
    });

    it('ends at once the second time, which an echo of the first is not', async () => {
      const script = join(import.meta.dirname, '../support/stubborn-work.ts');
      const { child, ended, output } = start(process.execPath, [script]);
      await until(() => output.stdout === 'working\n');
      child.kill('SIGTERM');
      await until(() => output.stdout === 'working\npreempted\n');
      child.kill('SIGTERM');
      await delay(600);
      assert.equal(child.exitCode, null);
      child.kill('SIGTERM');
      assert.equal(await ended, 143);
    });
  });

  it('keeps the best score of the run it goes on from', async () => {
    const run = path('best');
    cpSync(whole, run, { recursive: true });
    const file = join(run, 'checkpoint_tracker.json');
    const tracker = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    const best = { best_global_step: 2, best_val_reward_score: 99.5 };
    writeFileSync(file, JSON.stringify({ ...tracker, ...best }));
    await trainTiny(demo, run, [...items, 'trainer.max_steps=4']);
    const after = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    assert.deepEqual(after, {
      ...best,
      last_global_step: 4,
      last_actor_path: join(run, 'global_step_4/actor'),
    });
  });
});

function count(phases: readonly string[], name: string): number {
  return phases.filter((one) => one === name).length;
}

import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { silentReporter } from '../../actors/trainer/report/reporter.ts';
import { trainCurriculum, type CurriculumSummary } from '../../actors/trainer/curriculum.ts';
import type { RunOptions } from '../../actors/trainer/run.ts';
import { configFrom } from '../../src/config/load.ts';
import { effectOf } from '../support/effect.ts';
import {
  keepingLogger,
  numbersOf,
  phaseReporter,
  tinyItems,
  tinySuite,
} from '../support/tiny-run.ts';

describe('a curriculum', () => {
  const { demo, path } = tinySuite();
  const whole = path('whole');
  let summary: CurriculumSummary;

  const train = async (
    run: string,
    options: Partial<RunOptions> = {},
    items: readonly string[] = [],
  ): Promise<CurriculumSummary> => {
    const open = `{train_files: ${demo}/open-train.jsonl, val_files: ${demo}/open-validation.jsonl}`;
    const { stages } = await configFrom(
      tinyItems(demo, run, [
        'worker.reward.reward_function=test/support/letters-reward.ts:score',
        'trainer.save_freq=1',
        'trainer.val_before_train=false',
        'worker.actor.global_batch_size=4',
        'curriculum=[{name: closed, steps: 5, advance: {metric: response_length/max, above: 1, min_steps: 2}},' +
          ` {name: open, steps: 2, mix: {closed: 0.25}, data: ${open}, overrides: {worker: {rollout: {n: 4}}}}]`,
        ...items,
      ]),
      { purpose: 'train' },
    );
    const { logger } = keepingLogger();
    const { signal } = new AbortController();
    return trainCurriculum(
      stages.map(({ stage, config }) => ({ ...stage, config })),
      run,
      { reporter: silentReporter, logger, signal, ...options },
    );
  };
  const weights = (run: string, stage: string, step: number): Buffer =>
    readFileSync(
      join(run, stage, `global_step_${step}`, 'actor', 'huggingface', 'model.safetensors'),
    );

  before(async () => {
    summary = await train(whole);
  });

  effectOf('curriculum');
  it('trains stage after stage and says what each came to', () => {
    assert.deepEqual(
      summary.stages.map(({ name, steps }) => [name, steps]),
      [
        ['closed', 2],
        ['open', 2],
      ],
    );
    assert.equal(summary.steps, 4);
    assert.equal(summary.checkpoint, summary.stages[1]!.checkpoint);
    assert.deepEqual(
      JSON.parse(readFileSync(join(whole, 'summary.json'), 'utf8')),
      JSON.parse(JSON.stringify(summary)),
    );
  });

  effectOf('curriculum[].advance.metric');
  it('ends a stage as soon as its rule holds, with a validation and a checkpoint', () => {
    const lines = numbersOf(join(whole, '1-closed'));
    assert.deepEqual(
      lines.map(({ step }) => step),
      [1, 2],
    );
    assert.ok('val/reward_score' in lines[1]!);
    assert.ok(existsSync(join(whole, '1-closed', 'global_step_2')));
  });

  it('begins a stage with the weights of the one before, and a reference made of them', () => {
    const [first] = numbersOf(join(whole, '2-open'));
    // On the first step policy and reference are the same, whatever the stage before has learnt.
    assert.ok(Math.abs(first!['actor/kl_loss']!) < 1e-6);
    assert.ok(
      !weights(whole, '1-closed', 2).equals(readFileSync(join(demo, 'model', 'model.safetensors'))),
    );
  });

  effectOf('curriculum[].mix');
  it('goes on with the data of an earlier stage, which has its share of every step', () => {
    const [first] = numbersOf(join(whole, '2-open'));
    assert.ok('reward/overall' in first! && 'reward/closed/overall' in first);
    assert.ok(!('reward/closed/overall' in numbersOf(join(whole, '1-closed'))[0]!));
    const state = JSON.parse(
      readFileSync(join(whole, '2-open', 'global_step_2', 'trainer.json'), 'utf8'),
    ) as { cursor: unknown; replay: { cursor: unknown }[] };
    // Of four prompts one is the closed stage's; the open one has four rows, so its second step begins an epoch.
    assert.deepEqual(state.replay[0]!.cursor, { epoch: 0, position: 2 });
    assert.deepEqual(state.cursor, { epoch: 1, position: 3 });
  });

  it('goes on inside the stage it was interrupted in, to the same numbers, wherever its folder is now', async () => {
    const run = path('interrupted');
    const moved = path('moved');
    const interruption = new AbortController();
    let updates = 0;
    const reporter = phaseReporter(({ name }) => {
      if (name === 'update' && ++updates === 4) interruption.abort(new Error('stop'));
    });
    await assert.rejects(train(run, { reporter, signal: interruption.signal }));
    assert.ok(existsSync(join(run, '2-open', 'global_step_1')));
    renameSync(run, moved);
    const resumed = await train(moved);
    assert.deepEqual(
      resumed.stages.map(({ name, steps }) => [name, steps]),
      summary.stages.map(({ name, steps }) => [name, steps]),
    );
    assert.ok(weights(moved, '2-open', 2).equals(weights(whole, '2-open', 2)));
    assert.deepEqual(numbersOf(join(moved, '2-open')), numbersOf(join(whole, '2-open')));
  });

  it('runs no stage again that has ended, also when its end was not noted any more', async () => {
    const run = path('moved');
    rmSync(join(run, 'curriculum.json'));
    const again = await train(run);
    assert.deepEqual(
      again.stages.map(({ steps }) => steps),
      [2, 2],
    );
    assert.equal(numbersOf(join(run, '1-closed')).length, 2);
    assert.equal(again.checkpoint, summary.checkpoint!.replace('whole', 'moved'));
  });

  it('is looked at with val_only, and stays as it is', async () => {
    const names = [
      'curriculum.json',
      'summary.json',
      '1-closed/metrics.jsonl',
      '2-open/summary.json',
    ];
    const content = (): string[] => names.map((name) => readFileSync(join(whole, name), 'utf8'));
    const logged = (): string =>
      readFileSync(join(whole, '1-closed', 'experiment_log.jsonl'), 'utf8');
    const before = content();
    const log = logged();
    const look = await train(whole, {}, [
      'trainer.val_only=true',
      'trainer.find_last_checkpoint=false',
    ]);
    assert.deepEqual(
      look.stages.map(({ name, steps }) => [name, steps]),
      [
        ['closed', 0],
        ['open', 0],
      ],
    );
    assert.deepEqual(content(), before);
    assert.ok(log.length > 0 && logged().startsWith(log));
    assert.ok(existsSync(join(whole, '2-open', 'global_step_2')));
  });

  it('refuses a folder of other stages', async () => {
    await assert.rejects(train(whole, {}, ['curriculum.1.name=other']), {
      code: 'CHECKPOINT_INVALID',
      message: /stage 2 was open, and the config's is other/,
    });
  });
});

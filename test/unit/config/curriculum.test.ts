import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configFrom, type LoadedConfig } from '../../../src/config/load.ts';
import { effectOf } from '../../support/effect.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const file = `
curriculum:
  - name: closed
    data: {train_files: closed.jsonl, rollout_batch_size: 256}
    reward: {reward_function: closed}
    epochs: 3
    advance: {metric: reward/accuracy, above: 0.9}
  - name: open
    data: {train_files: open.jsonl}
    reward: {reward_function: open, reward_function_kwargs: {format_weight: 0.2}}
    steps: 7
    mix: {closed: 0.25}
    overrides: {worker: {rollout: {n: 4}}}
data: {rollout_batch_size: 512, seed: 5}
worker: {rollout: {n: 2}}
trainer: {save_checkpoint_path: /runs/x, total_epochs: 2, max_steps: 100}
`;

describe('a curriculum', () => {
  let temporary: TemporaryDirectory;
  let path: string;
  const read = (...items: string[]): Promise<LoadedConfig> =>
    configFrom([`config=${path}`, ...items], { purpose: null, cwd: '/' });

  before(() => {
    temporary = new TemporaryDirectory();
    path = join(temporary.path, 'curriculum.yaml');
    writeFileSync(path, file);
  });
  after(() => temporary[Symbol.dispose]());

  effectOf(
    'curriculum[].name',
    'curriculum[].data',
    'curriculum[].reward',
    'curriculum[].epochs',
    'curriculum[].steps',
    'curriculum[].overrides',
  );
  it('gives each stage the whole config with its own keys over it', async () => {
    const { stages } = await read('algorithm.kl_coef=0.5');
    const [closed, open] = stages.map(({ config }) => config);
    assert.deepEqual(
      [closed!, open!].map(({ data, worker, trainer, algorithm }) => [
        data.trainFiles,
        data.rolloutBatchSize,
        data.seed,
        worker.reward.rewardFunction,
        worker.rollout.n,
        trainer.totalEpochs,
        trainer.maxSteps,
        trainer.saveCheckpointPath,
        algorithm.klCoef,
      ]),
      [
        ['closed.jsonl', 256, 5, 'closed', 2, 3, null, '/runs/x/1-closed', 0.5],
        ['open.jsonl', 512, 5, 'open', 4, 2, 7, '/runs/x/2-open', 0.5],
      ],
    );
    assert.deepEqual(stages[0]!.stage.advance, {
      metric: 'reward/accuracy',
      above: 0.9,
      below: null,
      emaAlpha: 0.2,
      minSteps: 1,
    });
    assert.deepEqual(stages[1]!.stage.mix, { closed: 0.25 });
  });

  it('takes values for a stage from the command line, by its position', async () => {
    const { stages } = await read('curriculum.1.steps=9', 'curriculum.0.data.seed=6');
    assert.equal(stages[1]!.config.trainer.maxSteps, 9);
    assert.equal(stages[0]!.config.data.seed, 6);
    assert.equal(stages[1]!.config.data.seed, 5);
  });

  it('says where in a stage something is wrong', async () => {
    const wrong = [
      'curriculum.0.overrides.worker.actor.clip_ratio_low=2',
      'curriculum.1.data.trian_files=x',
    ];
    await assert.rejects(read(...wrong), {
      code: 'CONFIG_INVALID',
      message:
        'curriculum[0]: worker.actor.clip_ratio_low: expected number in [0, 1], got 2 (argument curriculum.0.overrides.worker.actor.clip_ratio_low=2)\n' +
        'curriculum[1]: data.trian_files: unknown key, nearest valid key: data.train_files (argument curriculum.1.data.trian_files=x)',
    });
  });

  it('names the key of a stage that was meant', async () => {
    await assert.rejects(
      read('curriculum.0.advnce=null'),
      /nearest valid key: curriculum\[\]\.advance/,
    );
  });

  for (const [item, reason] of [
    ['curriculum.1.name=closed', 'two stages are called closed'],
    ['curriculum.1.mix={none: 0.5}', 'open mixes in none, which is no earlier stage'],
    ['curriculum.0.mix={open: 0.5}', 'closed mixes in open, which is no earlier stage'],
    ['curriculum.0.advance.below=0', 'closed.advance takes either above or below, and one of them'],
  ] as const) {
    it(`is refused where it makes no sense: ${item}`, async () => {
      const { issues } = await read(item);
      assert.ok(
        issues.some((issue) => issue.path === 'curriculum' && issue.expected === reason),
        JSON.stringify(issues),
      );
    });
  }

  it('is refused where a share is less than a prompt', async () => {
    const { issues } = await read('curriculum.1.data.rollout_batch_size=1');
    const mix = issues.find((issue) => issue.path === 'curriculum[1].mix');
    assert.equal(
      mix?.expected,
      'of 1 prompts, 0 of closed and 1 of its own: each needs one at least',
    );
  });

  it('is judged by its stages, which give what the rest of the file lacks', async () => {
    const options = { purpose: 'train', cwd: temporary.path } as const;
    const wrong = await configFrom([`config=${path}`], options).then(
      () => '',
      (error: unknown) => (error as Error).message,
    );
    assert.match(
      wrong,
      /^curriculum\[0\]: data\.train_files: no such file or directory: closed\.jsonl/m,
    );
    assert.doesNotMatch(wrong, /^data\.train_files/m);
  });
});

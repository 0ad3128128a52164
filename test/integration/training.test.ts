import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  silentReporter,
  type StepLine,
  type SupervisedLine,
} from '../../actors/trainer/report/reporter.ts';
import { statusIn } from '../../src/dashboard/readers/status.ts';
import { openModel } from '../../src/cli/open-model.ts';
import { DEFAULT_KEYS } from '../../src/data/row.ts';
import { loadDataset } from '../../src/data/dataset.ts';
import { loadCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { scoreAnswers } from '../../src/training/score-answers.ts';
import { effectOf } from '../support/effect.ts';
import { assertClose } from '../support/assert-close.ts';
import { LivingWorkers } from '../support/living-workers.ts';
import {
  assertSameRun,
  keepingLogger,
  metricsBefore,
  metricsOf,
  superviseTiny,
  tinySuite,
  trainedOf,
  trainTiny,
} from '../support/tiny-run.ts';

/** Metrics of EasyR1, as far as a run with a KL loss and no critic has them. */
const metricNames = [
  ...['pg_loss', 'kl_loss', 'kl_coef', 'entropy_loss', 'ppo_kl', 'grad_norm', 'lr'],
  ...['pg_clipfrac_higher', 'pg_clipfrac_lower'],
].map((name) => `actor/${name}`);
const summaries = ['critic/score', 'critic/rewards', 'critic/advantages', 'critic/returns'];
const lengths = ['response_length', 'prompt_length'];
const phases = ['gen', 'reward', 'old', 'ref', 'adv', 'update_actor'];

/** Nats per token of a data set's answers, as `score` tells the log-probability of each. */
async function lossOf(directory: string, source: string): Promise<number> {
  using model = await openModel(directory, {
    device: 'cpu',
    threads: 1,
    imageDir: dirname(source),
    warn: (text) => assert.fail(text),
  });
  const { rows } = await loadDataset({ source, invalidRows: 'fail', ...DEFAULT_KEYS });
  const { scores } = await scoreAnswers(model, rows, false);
  const logProbs = scores.flatMap((score) => [...score.logProbs]);
  return -logProbs.reduce((sum, value) => sum + value, 0) / logProbs.length;
}

describe('a run', () => {
  const { demo, path } = tinySuite();

  effectOf(
    'trainer.max_steps',
    'trainer.val_freq',
    'trainer.save_freq',
    'sft.val_freq',
    'sft.max_steps',
  );
  it('warms up on solutions, learns by GRPO, and leaves its files and no thread', async () => {
    using workers = new LivingWorkers();
    const run = path('run');
    const { logger, events } = keepingLogger();

    const length = 'data.max_response_length=64';
    const items = [
      'sft.max_steps=30',
      'sft.batch_size=8',
      'sft.lr=3e-3',
      'sft.val_freq=20',
      length,
    ];
    const rows: SupervisedLine[] = [];
    const table = { ...silentReporter, supervisedStep: (line: SupervisedLine) => rows.push(line) };
    mkdirSync(join(run, 'sft'), { recursive: true });
    writeFileSync(join(run, 'sft/metrics.jsonl'), '{"step":1}\n');
    const warm = await superviseTiny(demo, run, items, { logger, reporter: table });
    assert.equal(readFileSync(join(run, 'sft/before-1/metrics.jsonl'), 'utf8'), '{"step":1}\n');
    const status = await statusIn(join(run, 'sft'));
    assert.deepEqual(
      [status?.state, status?.step, status?.steps, status?.secondsLeft],
      ['done', 30, 30, 0],
    );
    const losses = events
      .filter(({ event }) => event === 'sft')
      .map(({ fields }) => fields['loss']);
    assert.equal(losses.length, 30);
    const [untrained] = metricsBefore(join(run, 'sft'));
    const supervised = metricsOf(join(run, 'sft'));
    assert.deepEqual(
      supervised.map((line) => line['sft/loss']),
      losses,
    );
    assert.deepEqual(
      rows.map(({ step, steps, loss }) => [step, steps, loss]),
      losses.map((loss, i) => [i + 1, 30, loss]),
    );
    const heldOut = [untrained!, ...supervised].filter((line) => 'val/loss' in line);
    assert.deepEqual(
      heldOut.map(({ step }) => step),
      [0, 20, 30],
    );
    const expected = await lossOf(join(demo, 'model'), join(demo, 'closed-validation.jsonl'));
    assertClose([untrained!['val/loss']!], [expected], { rtol: 1e-5, atol: 0 });
    assert.deepEqual(warm.validationLoss, {
      before: untrained!['val/loss'],
      after: heldOut.at(-1)!['val/loss'],
    });
    assert.ok(warm.validationLoss.after < 0.7 * warm.validationLoss.before);
    assert.equal(
      readFileSync(join(run, 'sft', 'experiment_log.jsonl'), 'utf8').match(/\n/g)!.length,
      31,
      'the logger `file` has them too',
    );
    assert.ok(warm.loss < 0.7 * Number(losses[0]), `loss ${losses.join(' ')}`);
    assert.deepEqual(workers.names, []);

    const shown: StepLine[] = [];
    const summary = await trainTiny(
      demo,
      run,
      [
        `worker.actor.model.model_path=${warm.checkpoint}`,
        'trainer.max_steps=5',
        'trainer.val_freq=2',
        'trainer.save_freq=2',
        'trainer.val_generations_to_log=2',
        'worker.rollout.num_workers=2',
        'worker.reward.num_workers=2',
        length,
      ],
      { logger, reporter: { ...silentReporter, step: (line) => shown.push(line) } },
    );
    assert.deepEqual(workers.names, []);

    const [first, ...more] = metricsBefore(run);
    assert.deepEqual(more, []);
    assert.ok(Object.keys(first!).every((name) => /^(step$|val[/_])/.test(name)));
    assert.equal(typeof first!['val/reward_score'], 'number');
    const lines = metricsOf(run);
    assert.deepEqual(
      lines.map(({ step }) => step),
      [1, 2, 3, 4, 5],
    );
    const wanted = [
      ...metricNames,
      ...[...summaries, ...lengths].flatMap((name) =>
        ['mean', 'max', 'min'].map((kind) => `${name}/${kind}`),
      ),
      ...lengths.map((name) => `${name}/clip_ratio`),
      ...[...phases, 'step'].map((name) => `timing_s/${name}`),
      ...phases.map((name) => `timing_per_token_ms/${name}`),
      ...[
        ...['total_num_tokens', 'time_per_step', 'throughput', 'mfu_actor'],
        ...['max_memory_allocated_gb', 'max_memory_reserved_gb', 'cpu_memory_used_gb'],
      ].map((name) => `perf/${name}`),
      ...['min', 'max', 'minmax_diff', 'balanced_min', 'balanced_max', 'mean'].map(
        (name) => `global_seqlen/${name}`,
      ),
      ...['overall', 'format'].map((name) => `reward/${name}`),
    ];
    for (const line of lines) {
      for (const name of wanted) {
        assert.equal(typeof line[name], 'number', `${name} in step ${line['step']}`);
      }
    }
    assert.deepEqual(
      lines.filter((line) => 'val/reward_score' in line).map(({ step }) => step),
      [2, 4, 5],
    );
    assert.deepEqual(
      shown.map(({ step, steps }) => [step, steps]),
      [1, 2, 3, 4, 5].map((step) => [step, 5]),
    );
    assert.equal(shown.at(-1)?.reward, lines.at(-1)?.['critic/score/mean']);

    const file = readFileSync(join(run, 'summary.json'), 'utf8');
    assert.deepEqual(JSON.parse(file), summary);
    assert.deepEqual(Object.keys(summary), [
      'val_accuracy_before',
      'val_accuracy_after',
      'steps',
      'seconds',
      'checkpoint',
    ]);
    assert.equal(summary.steps, 5);
    assert.ok(summary.val_accuracy_before! >= 0 && summary.val_accuracy_after! <= 1);
    assert.ok(existsSync(join(run, 'config.json')));
    const generations = readFileSync(join(run, 'generations.jsonl'), 'utf8').trimEnd().split('\n');
    assert.equal(generations.length, 2 * 4, 'before, at steps 2 and 4, after');

    const trained = trainedOf(run);
    assert.deepEqual(
      trained.map(({ step, groups }) => [step, Object.values(groups)]),
      [1, 2, 3, 4, 5].map((step) => [step, [2, 2, 2, 2]]),
    );
    const epoch = trained.slice(0, 4).flatMap(({ groups }) => Object.keys(groups));
    assert.equal(new Set(epoch).size, 16, 'every prompt once in an epoch');

    const tracker = JSON.parse(
      readFileSync(join(run, 'checkpoint_tracker.json'), 'utf8'),
    ) as Record<string, unknown>;
    assert.equal(tracker['last_global_step'], 5);
    assert.equal(tracker['last_actor_path'], join(run, 'global_step_5/actor'));
    assert.equal(summary.checkpoint, join(run, 'global_step_5/actor/huggingface'));
    const folders = readdirSync(run).filter((name) => name.startsWith('global_step_'));
    assert.deepEqual(folders.sort(), ['global_step_2', 'global_step_4', 'global_step_5']);

    const [before, after] = [
      await loadCheckpoint(warm.checkpoint),
      await loadCheckpoint(summary.checkpoint),
    ];
    assert.deepEqual(after.config, before.config);
    assert.notDeepEqual(after.arena.data, before.arena.data);
    assert.ok(after.arena.data.every(Number.isFinite));
    assert.deepEqual(
      readdirSync(summary.checkpoint).sort(),
      readdirSync(join(demo, 'model')).sort(),
    );
  });

  effectOf('trainer.total_epochs', 'trainer.val_before_train');
  it('goes through its epochs, without a validation before where it is told so', async () => {
    const run = path('epochs');
    const summary = await trainTiny(demo, run, [
      'trainer.max_steps=null',
      'trainer.total_epochs=1',
      'trainer.val_before_train=false',
      'data.rollout_batch_size=8',
      'data.max_response_length=4',
    ]);
    assert.equal(summary.steps, 2, 'twice 8 of 16 prompts');
    assert.equal(summary.val_accuracy_before, null);
    assert.notEqual(summary.val_accuracy_after, null);
    const folders = readdirSync(run).filter((name) => name.startsWith('global_step_'));
    assert.deepEqual(folders, ['global_step_2']);
  });

  it('gives the same numbers and the same weights when it is done again', async () => {
    const [first, second] = ['once', 'twice'].map((name) => path(name));
    const items = ['trainer.max_steps=2', 'trainer.val_before_train=false'];
    await trainTiny(demo, first!, items);
    await trainTiny(demo, second!, items);
    assertSameRun(second!, first!, ['global_step_2/actor/huggingface/model.safetensors']);
  });
});

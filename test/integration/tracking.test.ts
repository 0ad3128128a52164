import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentReporter } from '../../actors/trainer/report/reporter.ts';
import { effectOf } from '../support/effect.ts';
import { withVariables } from '../support/environment.ts';
import { metricsOf, trainTiny, tinySuite } from '../support/tiny-run.ts';

interface Traced {
  name: string;
  ph: string;
  ts: number;
  dur: number;
  pid: number;
  args: { step: number; name: string };
}

describe('what a run tells', () => {
  const { demo, path } = tinySuite();
  const lines = (run: string, name: string): Record<string, unknown>[] =>
    readFileSync(join(run, name), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  effectOf(
    'trainer.project_name',
    'trainer.experiment_name',
    'trainer.logger',
    'trainer.val_generations_to_log',
    'trainer.best_metric',
    'trainer.console_form',
    'trainer.ray_timeline',
    'trainer.profile',
  );
  it('goes to every logger that is listed, under the names of the reference', async () => {
    const run = path('told');
    const trace = path('trace.json');
    const notes: string[] = [];
    const boards = path('boards');
    await withVariables({ TENSORBOARD_DIR: boards }, () =>
      trainTiny(
        demo,
        run,
        [
          'trainer.logger=[console, file, tensorboard]',
          'trainer.console_form=metrics',
          'trainer.project_name=chest',
          'trainer.experiment_name=first',
          'trainer.max_steps=2',
          'trainer.val_freq=1',
          'trainer.save_freq=1',
          'trainer.val_generations_to_log=2',
          'trainer.best_metric=val_response_length/mean',
          `trainer.ray_timeline=${trace}`,
          'trainer.profile=2',
        ],
        { reporter: { ...silentReporter, note: (text) => notes.push(text) } },
      ),
    );

    // The file logger's tree has what `metrics.jsonl` has flat, after the validation before the first step.
    const log = lines(run, 'experiment_log.jsonl');
    assert.deepEqual(
      log.map(({ step }) => step),
      [0, 1, 2],
    );
    const [, second] = metricsOf(run);
    const tree = log[2] as { timing_s: { step: number }; val: { reward_score: number } };
    assert.equal(tree.timing_s.step, second!['timing_s/step']);
    assert.equal(tree.val.reward_score, second!['val/reward_score']);
    for (const name of ['validation', 'save_checkpoint']) {
      assert.ok(second![`timing_s/${name}`]! > 0, name);
      assert.ok(second!['timing_s/step']! > second![`timing_s/${name}`]!, name);
    }
    assert.equal(second!['perf/time_per_step'], second!['timing_s/step']);
    for (const name of ['mean', 'max', 'min', 'clip_ratio']) {
      assert.equal(typeof second![`val_response_length/${name}`], 'number');
      assert.equal(typeof second![`val_prompt_length/${name}`], 'number');
    }

    // Two answers before, at step 1 and at step 2, always to the same prompts.
    const shown = lines(run, 'generations.jsonl');
    assert.deepEqual(
      shown.map(({ step }) => step),
      [0, 0, 1, 1, 2, 2],
    );
    const prompts = shown.map(({ prompt }) => prompt);
    assert.deepEqual(prompts.slice(2, 4), prompts.slice(0, 2));
    assert.deepEqual(prompts.slice(4), prompts.slice(0, 2));
    const text = readFileSync(join(run, 'generations.log'), 'utf8');
    assert.equal(text.match(/^\[score\] /gm)?.length, 6);

    assert.ok(notes.some((note) => note.startsWith('Config\nalgorithm:\n  adv_estimator: grpo')));
    assert.ok(notes.some((note) => /^Step 2\nactor:\n {2}entropy_loss: /.test(note)));
    assert.equal(readdirSync(path('boards/chest/first')).length, 1);

    const tracker = JSON.parse(
      readFileSync(join(run, 'checkpoint_tracker.json'), 'utf8'),
    ) as Record<string, number>;
    const lengths = metricsOf(run).map((line) => line['val_response_length/mean']!);
    const best = Math.max(...lengths);
    assert.equal(tracker['best_val_reward_score'], Number(best.toFixed(4)));
    assert.equal(tracker['best_global_step'], lengths.indexOf(best) + 1);

    const events = (JSON.parse(readFileSync(trace, 'utf8')) as Traced[]).filter(
      ({ ph }) => ph === 'X',
    );
    for (const step of [1, 2]) {
      const of = events.filter(({ args }) => args.step === step);
      const whole = of.find(({ name }) => name === 'step')!;
      for (const name of ['gen', 'reward', 'old', 'adv', 'update_actor']) {
        const phase = of.find((event) => event.name === name)!;
        assert.ok(phase.ts >= whole.ts, name);
        assert.ok(phase.ts + phase.dur <= whole.ts + whole.dur + 2, name);
      }
      assert.ok(of.find(({ name }) => name === 'validation')!.ts >= whole.ts + whole.dur - 2);
    }

    // What the actors ran in step 2, on one clock with its phases.
    const profile = join(run, 'profile-step-2.json');
    assert.ok(notes.some((note) => note.startsWith(`profile of step 2: ${profile}`)));
    const drawn = JSON.parse(readFileSync(profile, 'utf8')) as Traced[];
    const processes = drawn.filter(({ name }) => name === 'process_name');
    assert.deepEqual(
      processes.map(({ args }) => args.name),
      ['cxmind', 'learner/0', 'reference', 'rollout/0'],
    );
    const runsOf = (actor: string): Traced[] => {
      const { pid } = processes.find(({ args }) => args.name === actor)!;
      return drawn.filter((event) => event.ph === 'X' && event.pid === pid);
    };
    const phases = Object.fromEntries(runsOf('cxmind').map((event) => [event.name, event]));
    for (const [actor, phase] of [
      ['learner/0', 'step'],
      ['reference', 'ref'],
      ['rollout/0', 'gen'],
    ] as const) {
      const { ts, dur } = phases[phase]!;
      const runs = runsOf(actor);
      assert.ok(runs.length > 0, actor);
      assert.ok(
        runs.every((event) => event.ts >= ts - 1 && event.ts + event.dur <= ts + dur + 1),
        actor,
      );
    }
    assert.ok(runsOf('learner/0').some(({ name }) => name.endsWith('backward')));
    assert.equal(phases['step']!.args.step, 2);
  });

  effectOf('trainer.val_only');
  it('is nothing but a validation with val_only, and leaves no checkpoint', async () => {
    const run = path('only');
    const notes: string[] = [];
    const items = [
      'trainer.val_only=true',
      'trainer.logger=file',
      'trainer.best_metric=val/overall_reward',
      'trainer.profile=1',
    ];
    const reporter = { ...silentReporter, note: (text: string) => notes.push(text) };
    const summary = await trainTiny(demo, run, items, { reporter });
    assert.ok(notes.includes('trainer.profile: there is no step 1, the run has 0'));
    assert.equal(summary.steps, 0);
    assert.equal(summary.checkpoint, null);
    assert.equal(existsSync(join(run, 'checkpoint_tracker.json')), false);
    const [log, ...others] = lines(run, 'experiment_log.jsonl');
    assert.deepEqual([log!['step'], others.length], [0, 0]);
  });

  it('stops before it trains when the metric that chooses the best is none', async () => {
    const items = ['trainer.best_metric=val/accuracy'];
    await assert.rejects(trainTiny(demo, path('none'), items), {
      code: 'CONFIG_INVALID',
      message: /^trainer\.best_metric: expected one of val\/reward_score, .*, got val\/accuracy$/,
    });
  });
});

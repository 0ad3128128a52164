import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runControl } from '../../actors/run-folder/requests.ts';
import type { RunSummary } from '../../actors/run-folder/files.ts';
import type { MetricList, StepTimeline } from '../../src/dashboard/api.ts';
import type { RunStatus } from '../../src/dashboard/run-files.ts';
import type {
  SampleDetail,
  SampleSteps,
  ValidationReport,
} from '../../src/dashboard/api-samples.ts';
import { Dashboard } from '../../src/dashboard/server.ts';
import { runHere, type Told } from '../support/cxmind-process.ts';
import { effectOf } from '../support/effect.ts';
import { silentReporter } from '../../actors/trainer/report/reporter.ts';
import {
  keepingLogger,
  metricsOf,
  phaseReporter,
  trainTiny,
  tinySuite,
} from '../support/tiny-run.ts';

const items = [
  'trainer.rollout_data_dir=rollouts',
  'trainer.validation_data_dir=answers',
  'trainer.dashboard=true',
  'trainer.dashboard_port=0',
  'worker.reward.reward_function=test/support/letters-reward.ts:score',
  'trainer.val_before_train=false',
  'trainer.val_generations_to_log=2',
  'trainer.logger=[console]',
  'trainer.max_steps=40',
];

const statusOf = (folder: string): RunStatus =>
  JSON.parse(readFileSync(join(folder, 'status.json'), 'utf8')) as RunStatus;

describe('a run that is asked', () => {
  const { demo, path } = tinySuite();
  const run = path('run');
  let summary: RunSummary;
  const answers: Told[] = [];
  const notes: string[] = [];
  const { logger, events } = keepingLogger();
  let port: number;
  /** Status of the dashboard's page while the run went on. */
  let served: number;

  before(async () => {
    const askAll = async (): Promise<void> => {
      for (const kind of ['save', 'validate', 'stop']) {
        answers.push(await runHere([kind, run, '--wait']));
      }
    };
    let all: Promise<void> | undefined;
    const look = async (): Promise<void> => {
      const url = /^dashboard: (.*)$/.exec(notes.find((note) => note.startsWith('dash'))!)![1]!;
      port = Number(new URL(url).port);
      served = (await fetch(url, { redirect: 'manual' })).status;
      await askAll();
    };
    const reporter = {
      ...phaseReporter(({ name }) => {
        if (name === 'rollout') all ??= look();
      }),
      note: (text: string) => void notes.push(text),
    };
    summary = await trainTiny(demo, run, items, { reporter, logger });
    await all;
  });

  it('saves and validates between two steps, then stops, and answers', async () => {
    const [saved, validated, stopped] = answers;
    const [, step] = /saved step (\d+)$/.exec(saved!.text)!;
    assert.ok(existsSync(join(run, `global_step_${step!}/trainer.json`)));
    assert.match(validated!.text, /validated step \d+: accuracy [01]\.\d{3}, reward -?\d\.\d{3}$/);
    assert.match(stopped!.text, new RegExp(`stopped after step ${summary.steps}$`));
    assert.deepEqual([saved!.exitCode, validated!.exitCode, stopped!.exitCode], [0, 0, 0]);
    assert.ok(summary.preempted === true && summary.steps < 40);
    assert.ok(existsSync(join(run, `global_step_${summary.steps}/trainer.json`)));
    const requests = await runControl.requests(run);
    assert.deepEqual(
      requests.map(({ kind, state }) => `${kind} ${state}`),
      ['stop done', 'validate done', 'save done'],
    );
  });

  it('keeps the checkpoint that was the best, whatever a requested validation found', () => {
    const [, step] = /saved step (\d+)$/.exec(answers[0]!.text)!;
    const file = readFileSync(join(run, 'checkpoint_tracker.json'), 'utf8');
    const tracker = JSON.parse(file) as Record<string, unknown>;
    assert.deepEqual(
      [tracker['best_global_step'], tracker['best_val_reward_score'], summary.val_accuracy_after],
      [Number(step), 0, null],
    );
  });

  it('shows prompts and answers, and logs none of them', () => {
    const hasAnswer = (text: unknown): boolean => /\[ground_truth\]/.test(JSON.stringify(text));
    assert.ok(notes.some(hasAnswer));
    assert.ok(events.some(({ fields }) => String(fields['text']).startsWith('validation at step')));
    assert.deepEqual(events.filter(hasAnswer), []);
  });

  effectOf('trainer.dashboard', 'trainer.dashboard_port');
  it('serves its dashboard on a port of its own while it goes on, whose token is in no file', () => {
    assert.deepEqual([served, port === 8765], [303, false]);
    const token = /token=(.*)/.exec(notes.find((note) => note.startsWith('dash'))!)![1]!;
    for (const name of ['status.json', 'config.json']) {
      assert.ok(!readFileSync(join(run, name), 'utf8').includes(token));
    }
  });

  it('tells of itself in its folder', async () => {
    const status = statusOf(run);
    assert.deepEqual(
      [status.state, status.step, status.steps, status.lastError],
      ['stopped', summary.steps, 40, null],
    );
    assert.equal(status.checkpoint!.step, summary.steps);
    const actors = status.actors.map(({ name, device, status: of }) => [name, device, of]);
    assert.deepEqual(actors.filter(([name]) => /^(learner|rollout|reward)/.test(name!)).sort(), [
      ['learner/0', 'cpu', 'running'],
      ['reward/0', null, 'running'],
      ['rollout/0', 'cpu', 'running'],
    ]);
    assert.ok(!existsSync(join(run, '.status.json.partial')));
    const { exitCode, text } = await runHere(['stop', run]);
    assert.equal(exitCode, 2);
    assert.match(text, /no run writes this folder/);
  });

  effectOf('trainer.rollout_data_dir', 'trainer.validation_data_dir');
  it('is shown by a dashboard, its phases as long as its metrics say', async () => {
    await using dashboard = new Dashboard({
      ...{ folders: [run], control: runControl, token: 'a-token-of-the-test' },
      onError: (error) => assert.fail(String(error)),
    });
    const url = new URL(await dashboard.listen('127.0.0.1', 0));
    const get = async <T>(path: string): Promise<T> => {
      const headers = { authorization: 'Bearer a-token-of-the-test' };
      const response = await fetch(new URL(`/api/${path}`, url), { headers });
      return (await response.json()) as T;
    };
    const { runs } = await get<{ runs: { id: string; state: string }[] }>('runs');
    assert.deepEqual(
      runs.map(({ state }) => state),
      ['stopped'],
    );
    const path = `runs/${runs[0]!.id}`;
    const { metrics } = await get<MetricList>(`${path}/metrics`);
    assert.ok(metrics.some(({ name }) => name === 'critic/score/mean'));
    const timeline = await get<StepTimeline>(`${path}/timeline?step=1`);
    assert.equal(timeline.lanes[0], 'trainer');
    const [first] = metricsOf(run);
    for (const name of ['gen', 'update_actor']) {
      const seconds = timeline.spans
        .filter((span) => span.lane === 'trainer' && span.name === name)
        .reduce((sum, { start, end }) => sum + (end - start) / 1000, 0);
      assert.ok(Math.abs(seconds - first![`timing_s/${name}`]!) < 1e-3, name);
    }
    const sample = await get<SampleDetail>(`${path}/samples/one?kind=rollout&step=1&row=0`);
    assert.deepEqual(
      [sample.finishReason, sample.pictures, sample.policyVersion],
      ['length', 1, 1],
    );
    const { means } = await get<SampleSteps>(`${path}/samples?kind=rollout`);
    // The metric is a mean of f32 numbers.
    assert.ok(Math.abs(means[0]! - first!['critic/score/mean']!) < 1e-6);
    const picture = `/api/${path}/samples/picture?kind=rollout&step=1&row=0&picture=0`;
    const shown = await fetch(new URL(picture, url), {
      headers: { authorization: 'Bearer a-token-of-the-test' },
    });
    assert.equal(shown.headers.get('content-type'), 'image/jpeg');
    await shown.arrayBuffer();
    const report = await get<ValidationReport>(`${path}/validation`);
    assert.deepEqual([report.task, report.answers, report.isWhole], ['closed', 4, true]);
    const [generate] = timeline.spans.filter(({ lane }) => lane === 'rollout/0');
    const [gen] = timeline.spans.filter(({ name }) => name === 'gen');
    assert.equal(generate!.name, 'generate');
    assert.ok(generate!.sent! >= gen!.start && generate!.end <= gen!.end);
  });

  it('goes on from there', async () => {
    const more = await trainTiny(demo, run, [...items, `trainer.max_steps=${summary.steps + 1}`]);
    assert.equal(more.steps, summary.steps + 1);
    const steps = readFileSync(join(run, 'spans.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { step: number }).step);
    assert.deepEqual(
      steps,
      Array.from({ length: more.steps }, (_, i) => i + 1),
    );
    // A command that finds the run done, or is ended before it has read the checkpoint, leaves the place of the run.
    const place = { step: more.steps, path: more.checkpoint };
    const cancelled = { signal: AbortSignal.abort(new Error('cancelled by the test')) };
    for (const [options, state] of [
      [{}, 'done'],
      [cancelled, 'stopped'],
    ] as const) {
      const again = trainTiny(demo, run, [...items, `trainer.max_steps=${more.steps}`], options);
      await again.catch(() => undefined);
      const { checkpoint, ...status } = statusOf(run);
      assert.deepEqual([status.state, status.step, checkpoint], [state, more.steps, place]);
    }
  });

  it('saves and stops before its first step where it is asked while it starts', async () => {
    const folder = path('asked-early');
    const startItems = [...items, 'trainer.dashboard=false', 'trainer.max_steps=1'];
    let asked = 0;
    const ask = (text: string): void => {
      // The data is there, and no checkpoint is looked for yet.
      if (!/^\d+ training prompts/.test(text)) return;
      mkdirSync(join(folder, 'requests'), { recursive: true });
      for (const kind of ['save', 'stop']) {
        const request = { id: kind, kind, state: 'waiting', asked: ++asked, updated: 0, text: '' };
        writeFileSync(join(folder, 'requests', `${kind}.json`), JSON.stringify(request));
      }
    };
    const reporter = { ...silentReporter, note: ask };
    const stopped = await trainTiny(demo, folder, startItems, { reporter });
    assert.deepEqual([stopped.steps, stopped.preempted], [0, true]);
    assert.equal(stopped.checkpoint, join(folder, 'global_step_0/actor/huggingface'));
    const requests = await runControl.requests(folder);
    assert.deepEqual(
      requests.map(({ kind, state, text }) => `${kind} ${state}: ${text}`),
      ['stop done: stopped after step 0', 'save done: saved step 0'],
    );
    const resumed = await trainTiny(demo, folder, startItems);
    assert.equal(resumed.steps, 1);
    const [first] = metricsOf(folder);
    const [uncut] = metricsOf(run);
    for (const name of ['critic/score/mean', 'actor/pg_loss', 'actor/grad_norm']) {
      assert.equal(first![name], uncut![name], name);
    }
  });
});

/**
 * The folder of a run that was never run, with numbers that follow from step and row, for tests and benches of readers of
 * such folders.
 *
 * Metric `m` of step `s` is `madeValue(m, s)`. Every step has `samples` responses to as many prompts over 4; of those to
 * prompt `p` the reference is option `A` to `D` by `p`, and the response says it in every second sample.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SampleLine } from '../../src/dashboard/readers/sample-record.ts';
import type { SpanLine } from '../../src/dashboard/readers/timeline.ts';
import type { RunStatus } from '../../src/dashboard/run-files.ts';

/** Sizes and times of a made run. */
export interface MadeRun {
  readonly steps: number;
  readonly metrics: number;
  /** Responses of each step, and answers of each validation, a multiple of 4. */
  readonly samples: number;
  /** Steps between validations. */
  readonly valFreq: number;
  /** Time of the first step, in milliseconds since the epoch. */
  readonly began: number;
  readonly status: Partial<RunStatus>;
}

const usual: MadeRun = {
  ...{ steps: 10, metrics: 4, samples: 8, valFreq: 5, began: Date.UTC(2026, 0, 2, 3, 4, 5) },
  status: {},
};

const STEP_MS = 1000;
const options = ['A', 'B', 'C', 'D'];

/** Value of a metric at a step; metric 2 is NaN at odd steps. */
export function madeValue(metric: number, step: number): number {
  return metric === 2 && step % 2 === 1 ? NaN : metric + Math.sin(step / (metric + 1));
}

/** Name of a metric by its number; 0 is the mean score. */
export function metricName(metric: number): string {
  return metric === 0 ? 'critic/score/mean' : `group_${metric % 7}/metric_${metric}`;
}

/** A line of `metrics.jsonl`. */
export function metricLine(step: number, metrics: number): string {
  const values = Array.from({ length: metrics }, (_, m) => [metricName(m), madeValue(m, step)]);
  return `${JSON.stringify({ step, ...Object.fromEntries(values) })}\n`;
}

/** Writes the folder of a run. */
export function writeMadeRun(folder: string, given: Partial<MadeRun> = {}): void {
  const run = { ...usual, ...given };
  for (const name of ['rollouts', 'validations'])
    mkdirSync(join(folder, name), { recursive: true });
  const steps = Array.from({ length: run.steps }, (_, i) => i + 1);
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  write('metrics.jsonl', steps.map((step) => metricLine(step, run.metrics)).join(''));
  write('spans.jsonl', steps.map((step) => `${JSON.stringify(spanLine(step, run))}\n`).join(''));
  for (const step of steps) write(`rollouts/${step}.jsonl`, sampleLines(step, run));
  for (const step of steps.filter((one) => one % run.valFreq === 0)) {
    write(`validations/${step}.jsonl`, sampleLines(step, run));
  }
  write('cxmind.log', logLines(run));
  write('config.json', JSON.stringify(madeConfig(run)));
  write('status.json', JSON.stringify(madeStatus(run)));
}

/** The config of a made run; its seed is its number of steps. */
function madeConfig({ steps }: MadeRun): object {
  return {
    data: { rollout_batch_size: 2 },
    worker: { reward: { judge: { api_key: 'sk-of-nobody' } } },
    trainer: { max_steps: steps, seed: steps },
  };
}

function madeStatus({ steps, began, status }: MadeRun): RunStatus {
  const updated = began + steps * STEP_MS;
  const actor = {
    ...({ status: 'running', node: null, mailbox: 1, capacity: 1024 } as const),
    ...{ since: updated, restarts: 0, heapBytes: 30e6, lastError: null },
  } as const;
  return {
    ...{ state: 'running', host: 'host-a', pid: 1, started: began, updated, step: steps },
    ...{ steps: 2 * steps, secondsLeft: steps, secondsPerStep: 1, device: 'cpu' },
    phases: [{ name: 'gen', since: updated }],
    progress: [{ name: 'rollout', done: 3, total: 8 }],
    actors: [
      { ...actor, name: 'rollout/0', device: 'cpu', method: 'generate' },
      { ...actor, name: 'data', device: null, method: null, mailbox: 0, restarts: 2 },
    ],
    memory: { residentBytes: 1e9, freeBytes: 2e9, totalBytes: 8e9 },
    deviceMemory: [{ device: 'cuda:0', freeBytes: 20 * 2 ** 30, totalBytes: 80 * 2 ** 30 }],
    lastError: null,
    checkpoint: { step: steps, path: `global_step_${steps}` },
    deadLetters: 0,
    samples: { rollout: 'rollouts', validation: 'validations' },
    ...status,
  };
}

function spanLine(step: number, { began }: MadeRun): SpanLine {
  return {
    step,
    began: began + (step - 1) * STEP_MS,
    duration: STEP_MS,
    left_out: 0,
    spans: [
      ['trainer', 'gen', 0, 600, null],
      ['rollout/0', 'generate', 10, 590, 5],
      ['reward/0', 'score', 600, 650, 595],
      ['reward/0', 'score', 650, 700, 595],
      ['trainer', 'update_actor', 700, 1000, null],
      ['learner/0', 'update', 705, 990, 702],
    ],
    failed: [3],
  };
}

function sampleLines(step: number, { samples }: MadeRun): string {
  const lines = Array.from({ length: samples }, (_, row) => JSON.stringify(sampleLine(step, row)));
  return `${lines.join('\n')}\n`;
}

/** A sample: four responses to each prompt, right and wrong in turns. */
export function sampleLine(step: number, row: number): SampleLine {
  const prompt = Math.floor(row / 4);
  const right = options[prompt % options.length]!;
  const said = row % 2 === 0 ? right : options[(prompt + 1) % options.length]!;
  return {
    step,
    prompt_id: `train.jsonl:${prompt + 1}`,
    sample: row % 4,
    score: row % 2 === 0 ? 1 : 0.1,
    tokens: 12 + row,
    finish_reason: 'stop',
    policy_version: step - 1,
    parts: { format: 1, accuracy: row % 2 === 0 ? 1 : 0 },
    images: [],
    input: `Which finding is on picture ${prompt + 1}? A to D.`,
    output: `<think>It may be ${said}.</think><answer>${said} \u2705</answer><think>So it is.</think><answer>${said}</answer>`,
    gts: `<think>It is ${right}.</think><answer>${right} \u2705</answer><think>So it is.</think><answer>${right}</answer>`,
  };
}

/**
 * A validation of open questions: a right answer, one that misses a finding, one that takes a finding for another, and
 * one that names a finding too much.
 */
export function findingLines(): string {
  const pairs: readonly (readonly [named: readonly string[], reference: readonly string[]])[] = [
    [['edema'], ['edema']],
    [['edema'], ['edema', 'pneumonia']],
    [['pneumonia'], ['edema']],
    [['edema', 'pneumonia'], ['edema']],
  ];
  const chain = (names: readonly string[]): string => {
    const steps = names.map(
      (name) => `<think>I see ${name}.</think><answer>${name} \u2705</answer>`,
    );
    return `${steps.join('')}<think>So it is.</think><answer>${names.join(', ')}</answer>`;
  };
  const lines = pairs.map(([named, reference], row) => ({
    ...sampleLine(5, row),
    ...{ prompt_id: `open.jsonl:${row + 1}`, sample: 0 },
    ...{ output: chain(named), gts: chain(reference) },
  }));
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

function logLines({ steps, began }: MadeRun): string {
  const lines = Array.from({ length: steps }, (_, i) => ({
    level: i % 4 === 3 ? 'warn' : 'info',
    time: new Date(began + i * STEP_MS).toISOString(),
    ...(i % 4 === 3
      ? { text: `warning: row ${i} is odd`, msg: 'note' }
      : { step: i + 1, msg: 'step' }),
  }));
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Tiny runs: small demos, their items, training in this process, and the files that a run wrote. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../../actors/runtime/actor.ts';
import { silentReporter, type Phase, type Reporter } from '../../actors/trainer/report/reporter.ts';
import { trainPolicy, type RunOptions } from '../../actors/trainer/run.ts';
import type { RunSummary } from '../../actors/run-folder/files.ts';
import { trainSupervised, type SupervisedSummary } from '../../actors/trainer/warm-start.ts';
import { configFrom } from '../../src/config/load.ts';
import { demoModelSize } from '../../src/demo/checkpoint.ts';
import type { DemoModelSize } from '../../src/demo/families.ts';
import type { DemoFamily } from '../../src/demo/family.ts';
import { writeDemo, type DemoPaths } from '../../src/demo/write.ts';

/** A policy that a step costs a tenth of a second. */
const tinyModel: DemoModelSize = {
  ...demoModelSize,
  hiddenSize: 32,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  intermediateSize: 64,
  visionDepth: 2,
  visionHiddenSize: 32,
  visionHeads: 2,
  visionIntermediateSize: 64,
  bpeSize: 512,
};

/** A demo small enough to train on in a test. */
export function writeTinyDemo(directory: string, family?: DemoFamily): Promise<DemoPaths> {
  const rows = { closedTrain: 16, closedValidation: 4, openTrain: 4, openValidation: 2 };
  return writeDemo(directory, {
    ...{ seed: 1, rows, pictureSize: 56, modelSize: tinyModel },
    ...(family && { family }),
  });
}

/** A tiny demo for the suite that calls this, in a folder that is gone after its tests. */
export function tinySuite(): {
  readonly demo: string;
  /** Path of a file in the folder; of the folder without a name. */
  readonly path: (...names: string[]) => string;
  /** Writes a file into the folder and gives its path. */
  readonly write: (name: string, content: string) => string;
} {
  const folder = join(tmpdir(), `cxmind-test-${randomUUID()}`);
  const path = (...names: string[]): string => join(folder, ...names);
  const write = (name: string, content: string): string => {
    writeFileSync(path(name), content);
    return path(name);
  };
  const demo = path('demo');
  before(async () => {
    await writeTinyDemo(demo);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  return { demo, path, write };
}

/** The command-line items of a tiny run over a demo, those of a test last. */
export function tinyItems(demo: string, run: string, items: readonly string[] = []): string[] {
  return [
    'config=configs/tiny.yaml',
    `data.train_files=${demo}/closed-train.jsonl`,
    `data.val_files=${demo}/closed-validation.jsonl`,
    `data.image_dir=${demo}`,
    'data.max_response_length=12',
    `worker.actor.model.model_path=${demo}/model`,
    'worker.actor.optim.lr=1e-3',
    `trainer.save_checkpoint_path=${run}`,
    'trainer.save_freq=-1',
    'trainer.save_limit=-1',
    // a second thread of ONNX Runtime is dearer than what it computes of so small a model
    'trainer.threads=1',
    // starting threads costs four times what a tiny run computes
    'trainer.local_mode=true',
    ...items,
  ];
}

/** Items of a run that does not end by itself; its rewards take their time, and leave the cores to other tests. */
export const endlessItems: readonly string[] = [
  'trainer.max_steps=100000',
  'trainer.total_epochs=100000',
  'worker.reward.reward_function=test/support/letters-reward.ts:scoreIn100Ms',
];

/** An event that something logged. */
export interface LoggedEvent {
  readonly level: keyof Logger;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A logger that keeps what it is told. */
export function keepingLogger(): { logger: Logger; events: LoggedEvent[] } {
  const events: LoggedEvent[] = [];
  const at =
    (level: keyof Logger) =>
    (fields: object, event: string): void =>
      void events.push({ level, event, fields: { ...fields } });
  const logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  return { logger, events };
}

/**
 * Trains a tiny run in this process; nothing is shown. Its actors share the thread of the test, unless it says otherwise.
 */
export async function trainTiny(
  demo: string,
  run: string,
  items: readonly string[] = [],
  options: Partial<RunOptions> = {},
): Promise<RunSummary> {
  return trainItems(tinyItems(demo, run, items), options);
}

/** Trains in this process by items of a command line; nothing is shown. */
export async function trainItems(
  items: readonly string[],
  options: Partial<RunOptions> = {},
): Promise<RunSummary> {
  const { config } = await configFrom(items, { purpose: 'train' });
  const { logger } = keepingLogger();
  const { signal } = new AbortController();
  const quiet = { reporter: silentReporter, logger, signal };
  return trainPolicy(config, { ...quiet, ...options });
}

/** Warms a tiny model up in this process; nothing is shown. */
export async function superviseTiny(
  demo: string,
  run: string,
  items: readonly string[],
  options: Partial<RunOptions> = {},
): Promise<SupervisedSummary> {
  const { config } = await configFrom(tinyItems(demo, run, items), { purpose: 'sft' });
  const { logger } = keepingLogger();
  const { signal } = new AbortController();
  const quiet = { reporter: silentReporter, logger, signal };
  return trainSupervised(config, { ...quiet, ...options });
}

/** The lines of the steps in a run's `metrics.jsonl`. */
export function metricsOf(run: string): MetricLine[] {
  return linesOf<MetricLine>(run, 'metrics.jsonl').filter(({ step }) => step! > 0);
}

/** The lines of `metrics.jsonl` about the validation before the first step: one, or none. */
export function metricsBefore(run: string): MetricLine[] {
  return linesOf<MetricLine>(run, 'metrics.jsonl').filter(({ step }) => step === 0);
}

type MetricLine = Record<string, number | null>;

/** The lines of a run's `trained.jsonl`: how many responses to each prompt a step trained on. */
export function trainedOf(run: string): { step: number; groups: Record<string, number> }[] {
  return linesOf(run, 'trained.jsonl');
}

function linesOf<T>(run: string, name: string): T[] {
  const lines = readFileSync(join(run, name), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as T);
}

/**
 * The same lines without what a clock or a memory gauge says, and without the rollout's own log-probabilities: their
 * last bits follow which rows are decoded together.
 */
export function numbersOf(run: string): Record<string, number | null>[] {
  const isMeasured =
    /^(timing_|perf\/(?!total_num_tokens)|rollout_corr\/|actor\/rollout_train_mismatch\/)/;
  return metricsOf(run).map((line) =>
    Object.fromEntries(Object.entries(line).filter(([name]) => !isMeasured.test(name))),
  );
}

/** Asserts that a run has another's numbers, trained on its prompts, and wrote the same bytes into some files. */
export function assertSameRun(run: string, other: string, files: readonly string[]): void {
  for (const file of files) {
    const [bytes, expected] = [run, other].map((folder) => readFileSync(join(folder, file)));
    assert.ok(bytes!.equals(expected!), `${file} differs`);
  }
  assert.deepEqual(numbersOf(run), numbersOf(other));
  assert.deepEqual(trainedOf(run), trainedOf(other));
}

/** A reporter that keeps its notes. */
export function keepingReporter(): { reporter: Reporter; notes: string[] } {
  const notes: string[] = [];
  return { reporter: { ...silentReporter, note: (text) => void notes.push(text) }, notes };
}

/** A reporter that calls `onPhase` at the beginning of every phase. */
export function phaseReporter(onPhase: (phase: Phase) => void): Reporter {
  return {
    ...silentReporter,
    phase: (phase) => {
      onPhase(phase);
      return silentReporter.phase(phase);
    },
  };
}

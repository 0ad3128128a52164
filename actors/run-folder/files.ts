/**
 * Files of a run's folder besides its checkpoints: lines for every step, config and summary, and what an earlier run
 * left.
 */
import { existsSync } from 'node:fs';
import { appendFile, mkdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as t from 'io-ts';
import { jsonIn } from '../../src/check/json.ts';
import type { SpanLine } from '../../src/dashboard/readers/timeline.ts';
import { writeFileAtomically, writeJson, writing } from '../../src/files.ts';
import { linesUntil } from '../../src/loggers/file.ts';
import type { Generation } from '../../src/loggers/logger.ts';
import type { Metrics } from '../../src/metrics.ts';

/** Name of the file that names a run's newest checkpoint and its best. */
export const TRACKER = 'checkpoint_tracker.json';

const numberOrNull = t.union([t.number, t.null]);

/** Content of a run's `summary.json`. */
export const RunSummary = t.intersection([
  t.type({
    val_accuracy_before: numberOrNull,
    val_accuracy_after: numberOrNull,
    steps: t.number,
    seconds: t.number,
    /** Hugging Face directory of the last checkpoint. */
    checkpoint: t.union([t.string, t.null]),
  }),
  /** True if it was stopped before its end, to go on later; left out otherwise. */
  t.partial({ preempted: t.boolean }),
]);
export interface RunSummary extends Readonly<t.TypeOf<typeof RunSummary>> {}

/** Files that get lines with every step, those of the loggers included. */
export const growingFiles: readonly string[] = [
  'metrics.jsonl',
  'trained.jsonl',
  'generations.jsonl',
  'spans.jsonl',
  'experiment_log.jsonl',
  'generations.log',
];

/** Files of a run that tell of its steps. */
export const filesOfSteps: readonly string[] = [...growingFiles, TRACKER, 'summary.json'];

/**
 * The plain files of a run's folder: `metrics.jsonl`, `trained.jsonl`, `generations.jsonl`, `spans.jsonl`,
 * `config.json`, `summary.json`.
 */
export class RunFiles {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** True when the folder has steps of an earlier run; a validation before the first is none. */
  async hasSteps(): Promise<boolean> {
    const file = join(this.folder, 'metrics.jsonl');
    const metrics = await stat(file).catch(() => null);
    return metrics !== null && metrics.size > Buffer.byteLength(linesUntil(file, 0));
  }

  static async open(folder: string): Promise<RunFiles> {
    await writing(folder, () => mkdir(folder, { recursive: true }));
    return new RunFiles(folder);
  }

  /** Writes `config.json`, readable by its owner alone: it may hold a secret. */
  async config(config: unknown): Promise<void> {
    await writeJson(join(this.folder, 'config.json'), config, 0o600);
  }

  /**
   * Removes lines of an earlier run that are ahead of this one.
   *
   * @param step     the last step that was trained
   * @param finished the last step whose metrics are complete
   */
  async keepUntil(step: number, finished: number): Promise<void> {
    const limits = { metrics: finished, trained: step, generations: finished, spans: finished };
    for (const [name, limit] of Object.entries(limits)) {
      const file = join(this.folder, `${name}.jsonl`);
      if (existsSync(file)) await writeFileAtomically(file, linesUntil(file, limit));
    }
  }

  /**
   * Appends the metrics of a step, or of a validation before the first one as step 0. Numbers that JSON cannot write
   * become null.
   */
  async metrics(step: number, metrics: Metrics): Promise<void> {
    await this.#append('metrics.jsonl', [{ step, ...metrics }]);
  }

  /** Appends the prompts that a step trained on, with the number of responses to each. */
  async trained(step: number, promptIds: readonly string[]): Promise<void> {
    const groups: Record<string, number> = {};
    for (const id of promptIds) groups[id] = (groups[id] ?? 0) + 1;
    await this.#append('trained.jsonl', [{ step, groups }]);
  }

  /** Appends the timeline of a step. */
  async spans(line: SpanLine): Promise<void> {
    await this.#append('spans.jsonl', [line]);
  }

  /** Appends answers of a validation, for people to read. */
  async generations(step: number, generations: readonly Generation[]): Promise<void> {
    const lines = generations.map(({ input, output, label, score }) => ({
      step,
      prompt: input,
      output,
      ground_truth: label,
      score,
    }));
    if (lines.length > 0) await this.#append('generations.jsonl', lines);
  }

  async summary(summary: RunSummary): Promise<void> {
    await writeJson(join(this.folder, 'summary.json'), summary);
  }

  /** Reads the summary of an earlier run; null where there is none. */
  async earlierSummary(): Promise<RunSummary | null> {
    return await summaryIn(this.folder);
  }

  async #append(name: string, lines: readonly object[]): Promise<void> {
    const file = join(this.folder, name);
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await writing(file, () => appendFile(file, text), Buffer.byteLength(text));
  }
}

async function summaryIn(folder: string): Promise<RunSummary | null> {
  return (await jsonIn(RunSummary, join(folder, 'summary.json'))) ?? null;
}

/** The model that a warm start leaves in its folder. */
export function warmStartModel(folder: string): string {
  return join(folder, 'huggingface');
}

/** The state of a folder's run: `done`, `on` where it can go on from a checkpoint, `none` where there is neither. */
export async function stageOf(folder: string): Promise<'done' | 'on' | 'none'> {
  const summary = await summaryIn(folder);
  if (summary !== null && summary.preempted !== true) return 'done';
  return existsSync(join(folder, TRACKER)) ? 'on' : 'none';
}

/** Tells whether a folder's name is one that `setAside` gives. */
export function isAside(name: string): boolean {
  return /^before-\d+$/.test(name);
}

/**
 * Moves files of an earlier run into a new folder `before-N` inside theirs.
 *
 * @param names of files and folders, as paths inside theirs; those that do not exist are left out
 * @returns the new folder; null where there was nothing to move
 */
export async function setAside(folder: string, names: readonly string[]): Promise<string | null> {
  const found = names.filter((name) => existsSync(join(folder, name)));
  if (found.length === 0) return null;
  let count = 1;
  while (existsSync(join(folder, `before-${count}`))) count++;
  const aside = join(folder, `before-${count}`);
  await writing(aside, async () => {
    await mkdir(aside);
    for (const name of found) {
      const target = join(aside, name);
      await mkdir(dirname(target), { recursive: true });
      await rename(join(folder, name), target);
    }
  });
  return aside;
}

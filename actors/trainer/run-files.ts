import { existsSync } from 'node:fs';
import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../../src/files.ts';
import { linesUntil } from '../../src/loggers/file.ts';
import type { Generation } from '../../src/loggers/logger.ts';
import type { Metrics } from '../../src/metrics.ts';

/** What a finished run leaves in `summary.json`. */
export interface RunSummary {
  readonly val_accuracy_before: number | null;
  readonly val_accuracy_after: number | null;
  readonly steps: number;
  readonly seconds: number;
  /** Hugging Face directory of the last checkpoint. */
  readonly checkpoint: string | null;
  /** Only where it was stopped before its end, to go on later. */
  readonly preempted?: boolean;
}

/**
 * The plain files of a run's folder: `metrics.jsonl`, `trained.jsonl`, `generations.jsonl`, `config.json`,
 * `summary.json`.
 */
export class RunFiles {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(folder: string, config: unknown): Promise<RunFiles> {
    await mkdir(folder, { recursive: true });
    await writeFileAtomically(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
    return new RunFiles(folder);
  }

  /** Removes the lines of an earlier run that are ahead of the step where this one begins. */
  async keepUntil(step: number): Promise<void> {
    for (const name of ['metrics.jsonl', 'trained.jsonl', 'generations.jsonl']) {
      const file = join(this.folder, name);
      if (existsSync(file)) await writeFileAtomically(file, linesUntil(file, step));
    }
  }

  /** One line of metrics; numbers JSON cannot write become null. */
  async metrics(step: number, metrics: Metrics): Promise<void> {
    await appendFile(
      join(this.folder, 'metrics.jsonl'),
      `${JSON.stringify({ step, ...metrics })}\n`,
    );
  }

  /** Which prompts a step trained on, with how many responses of each. */
  async trained(step: number, promptIds: readonly string[]): Promise<void> {
    const groups: Record<string, number> = {};
    for (const id of promptIds) groups[id] = (groups[id] ?? 0) + 1;
    await appendFile(join(this.folder, 'trained.jsonl'), `${JSON.stringify({ step, groups })}\n`);
  }

  /** Answers of a validation, for reading. */
  async generations(step: number, generations: readonly Generation[]): Promise<void> {
    const lines = generations.map(({ input, output, label, score }) =>
      JSON.stringify({ step, prompt: input, output, ground_truth: label, score }),
    );
    if (lines.length > 0) {
      await appendFile(join(this.folder, 'generations.jsonl'), `${lines.join('\n')}\n`);
    }
  }

  async summary(summary: RunSummary): Promise<void> {
    await writeFileAtomically(
      join(this.folder, 'summary.json'),
      `${JSON.stringify(summary, null, 2)}\n`,
    );
  }
}

import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../../src/files.ts';
import type { Metrics } from '../../src/metrics.ts';
import type { ScoredResponse } from './scoring-phase.ts';

/** What a finished run leaves in `summary.json`. */
export interface RunSummary {
  readonly val_accuracy_before: number | null;
  readonly val_accuracy_after: number | null;
  readonly steps: number;
  readonly seconds: number;
  /** Hugging Face directory of the last checkpoint. */
  readonly checkpoint: string | null;
}

/** The plain files of a run's folder: `metrics.jsonl`, `generations.jsonl`, `config.json`, `summary.json`. */
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
    for (const name of ['metrics.jsonl', 'generations.jsonl']) {
      const file = join(this.folder, name);
      if (!existsSync(file)) continue;
      const lines = (await readFile(file, 'utf8')).split('\n');
      const kept = lines.filter((line) => stepOf(line) <= step);
      await writeFileAtomically(file, kept.map((line) => `${line}\n`).join(''));
    }
  }

  /** One line of metrics; numbers JSON cannot write become null. */
  async metrics(step: number, metrics: Metrics): Promise<void> {
    await appendFile(
      join(this.folder, 'metrics.jsonl'),
      `${JSON.stringify({ step, ...metrics })}\n`,
    );
  }

  /** The first few responses of a validation, for reading. */
  async generations(step: number, scored: readonly ScoredResponse[]): Promise<void> {
    const lines = scored.map(({ group, text, parts }) =>
      JSON.stringify({
        step,
        prompt: group.prompt.text,
        output: text,
        ground_truth: group.prompt.groundTruth,
        score: parts['overall'],
      }),
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

/** The step of a line; infinite for one that a crash cut off. */
function stepOf(line: string): number {
  try {
    const { step } = JSON.parse(line) as { step?: unknown };
    return typeof step === 'number' ? step : Infinity;
  } catch {
    return Infinity;
  }
}

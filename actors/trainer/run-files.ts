import { appendFile, mkdir } from 'node:fs/promises';
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

/** The reference's own log files, and the part of a log that a resumed run keeps. */
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parsedJson } from '../check/json.ts';
import { readWholeSync } from '../files.ts';
import type { Metrics } from '../metrics.ts';
import { printable } from '../printable.ts';
import { labelledLines } from './console.ts';
import type { Generation, MetricLogger, RunDescription } from './logger.ts';
import { nested } from './nesting.ts';

/**
 * Logger that writes `experiment_config.json`, `experiment_log.jsonl` with a nested object a step, and `generations.log`
 * in the run's folder.
 *
 * A new run begins them anew. A resumed run keeps them up to the step that it goes on from, where the reference empties
 * all three. A run that only validates adds its validation.
 */
export class FileLogger implements MetricLogger {
  readonly #log: string;
  readonly #generations: string;

  constructor({ folder, config, resumedAfter, isLook }: RunDescription) {
    mkdirSync(folder, { recursive: true });
    this.#log = join(folder, 'experiment_log.jsonl');
    this.#generations = join(folder, 'generations.log');
    const described = join(folder, 'experiment_config.json');
    if (!isLook || !existsSync(described)) {
      const text = JSON.stringify(config, null, 2);
      // It may hold a secret that was written out in the config.
      writeFileSync(described, text, { mode: 0o600 });
    }
    if (isLook) return;
    writeFileSync(this.#log, resumedAfter === null ? '' : linesUntil(this.#log, resumedAfter));
    if (resumedAfter === null) writeFileSync(this.#generations, '');
  }

  log(step: number, metrics: Metrics): void {
    appendFileSync(this.#log, `${JSON.stringify({ step, ...nested(metrics) })}\n`);
  }

  logGenerations(_step: number, generations: readonly Generation[]): void {
    const text = generations
      .map((generation) => `${printable(labelledLines(generation))}\n`)
      .join('');
    appendFileSync(this.#generations, text);
  }
}

/** The whole lines of a log of JSON objects up to a step. */
export function linesUntil(file: string, step: number): string {
  if (!existsSync(file)) return '';
  return readWholeSync(file)
    .toString()
    .split('\n')
    .filter((line) => stepOf(line) <= step)
    .map((line) => `${line}\n`)
    .join('');
}

/** The step of a line; infinite for one that a crash cut off. */
function stepOf(line: string): number {
  const { step } = (parsedJson(line) ?? {}) as { step?: unknown };
  return typeof step === 'number' ? step : Infinity;
}

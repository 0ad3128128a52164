import type { Metrics } from '../metrics.ts';

/** A validation answer as it is shown. */
export interface Generation {
  readonly input: string;
  readonly output: string;
  readonly label: string;
  readonly score: number;
}

/** What a logger is told of the run when it is made. */
export interface RunDescription {
  readonly project: string;
  readonly experiment: string;
  /** The whole config in YAML spelling. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The run's own folder. */
  readonly folder: string;
  /** The step that a resumed run goes on after; null for a new run. */
  readonly resumedAfter: number | null;
  /** Whether it only validates: what the folder has of a run stays as it is. */
  readonly isLook: boolean;
}

/** How a run ended. */
export type RunEnd = 'finished' | 'failed';

/** A place that metrics go to. What it throws or rejects with is told once and ends nothing but itself. */
export interface MetricLogger {
  /** All metrics of a step, under the reference's names. */
  log(step: number, metrics: Metrics): void | Promise<void>;
  /** The answers chosen of a validation. */
  logGenerations?(step: number, generations: readonly Generation[]): void | Promise<void>;
  /** Writes what is left. */
  finish?(end: RunEnd): void | Promise<void>;
}

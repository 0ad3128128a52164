/** The contract of loggers: the run that a logger is made from, and what it takes. */
import type { Metrics } from '../metrics.ts';

/** An answer of a validation, with its prompt as `input` and its reference as `label`. */
export interface Generation {
  readonly input: string;
  readonly output: string;
  readonly label: string;
  readonly score: number;
}

/** Description of a run. */
export interface RunDescription {
  readonly project: string;
  readonly experiment: string;
  /** The whole config in YAML spelling. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly folder: string;
  /** The step that a resumed run goes on after; null for a new run. */
  readonly resumedAfter: number | null;
  /** True for a run that only validates, so that the files of an earlier run stay. */
  readonly isLook: boolean;
}

/** The way in which a run ended. */
export type RunEnd = 'finished' | 'failed';

/** Destination of metrics. Its first error is reported, and no error ends the run. */
export interface MetricLogger {
  /** Takes all metrics of a step, under the reference's names. */
  log(step: number, metrics: Metrics): void | Promise<void>;
  /** Takes the chosen answers of a validation. */
  logGenerations?(step: number, generations: readonly Generation[]): void | Promise<void>;
  /** Writes what is left, and closes files and connections. */
  finish?(end: RunEnd): void | Promise<void>;
}

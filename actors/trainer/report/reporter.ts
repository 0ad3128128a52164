/** The interface by which a run shows its progress, and notes on its data for it. */
import type { DataSummary } from '../../data/protocol.ts';

/** A phase whose progress is shown: a counter, and its end. */
export interface Phase {
  readonly name: string;
  readonly total: number;
  readonly done: () => number;
}

/** Progress and speed of a run after a step. */
export interface Pace {
  readonly step: number;
  readonly steps: number;
  readonly seconds: number;
  /** Seconds to the run's last step at the pace so far, validations and checkpoints included. */
  readonly secondsLeft: number;
}

/** The line of one step of reinforcement learning. */
export interface StepLine extends Pace {
  readonly reward: number;
  /** Share of right answers, or the reward's own measure of it. */
  readonly accuracy: number;
  readonly kl: number;
  readonly clipFraction: number;
  readonly gradNorm: number;
  readonly responseLength: number;
  readonly tokensPerSecond: number;
}

/** The line of one step of supervised training. */
export interface SupervisedLine extends Pace {
  /** Loss, in nats per token. */
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly tokensPerSecond: number;
}

/** Display of a run: bars and a table on the command line, nothing in a pipeline that stays silent. */
export interface Reporter {
  /** Shows a phase until disposed of. */
  phase(phase: Phase): Disposable;
  step(line: StepLine): void;
  supervisedStep(line: SupervisedLine): void;
  note(text: string): void;
}

/** A reporter that shows nothing. */
export const silentReporter: Reporter = {
  phase: () => ({ [Symbol.dispose]: () => undefined }),
  step: () => undefined,
  supervisedStep: () => undefined,
  note: () => undefined,
};

/** Reports the size of the data, the rows that were left out, and notes on the others. */
export function reportData(summary: DataSummary, reporter: Reporter): void {
  const { trainPrompts, validationPrompts, overlong, skipped, notes } = summary;
  reporter.note(
    `${trainPrompts} training prompts, ${validationPrompts} for validation` +
      (overlong > 0 ? `, ${overlong} too long and left out` : '') +
      (skipped > 0 ? `, ${skipped} invalid and skipped` : ''),
  );
  warnOfData(notes, reporter);
}

/** Reports notes on the data as warnings. */
export function warnOfData(notes: readonly string[], reporter: Reporter): void {
  for (const note of notes) reporter.note(`warning: ${note}`);
}

import type { DataSummary } from '../data/protocol.ts';

/** A counter that someone else moves, and how far it goes. */
export interface Phase {
  readonly name: string;
  readonly total: number;
  readonly done: () => number;
}

/** How far a run is after a step, and how fast it goes. */
export interface Pace {
  readonly step: number;
  readonly steps: number;
  readonly seconds: number;
  /** Until the run's last step, at the pace so far, validations and checkpoints included. */
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
  /** Nats per token. */
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly tokensPerSecond: number;
}

/** Where a run shows itself; the command line draws bars and a table, a pipeline may stay silent. */
export interface Reporter {
  /** Shows a phase until disposed of. */
  phase(phase: Phase): Disposable;
  step(line: StepLine): void;
  supervisedStep(line: SupervisedLine): void;
  note(text: string): void;
}

/** Shows nothing. */
export const silentReporter: Reporter = {
  phase: () => ({ [Symbol.dispose]: () => undefined }),
  step: () => undefined,
  supervisedStep: () => undefined,
  note: () => undefined,
};

/** Says how much data there is, what was left out of it, and what is odd about it. */
export function reportData(summary: DataSummary, reporter: Reporter): void {
  const { trainPrompts, validationPrompts, overlong, skipped, notes } = summary;
  reporter.note(
    `${trainPrompts} training prompts, ${validationPrompts} for validation` +
      (overlong > 0 ? `, ${overlong} too long and left out` : '') +
      (skipped > 0 ? `, ${skipped} invalid and skipped` : ''),
  );
  warnOfData(notes, reporter);
}

/** Shows what there is to say about data. */
export function warnOfData(notes: readonly string[], reporter: Reporter): void {
  for (const note of notes) reporter.note(`warning: ${note}`);
}

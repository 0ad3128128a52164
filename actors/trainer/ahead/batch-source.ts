import type { Metrics } from '../../../src/metrics.ts';
import type { RunState } from '../../run-folder/checkpoints.ts';
import { sampleBatch, type SampledBatch, type SampledResponse } from '../batch.ts';
import type { StepContext } from '../context.ts';
import type { KeptBatch } from './kept-batches.ts';
import type { Stopwatch } from '../report/timeline.ts';

/** A source of the responses that steps train on. */
export interface BatchSource extends AsyncDisposable {
  /**
   * Gives the batch of a step.
   *
   * @param context of the step, which may be undone
   * @param clock   takes the time that the step waits, and the time that its batch took
   */
  take(
    context: StepContext,
    state: RunState,
    step: number,
    clock: Stopwatch,
  ): Promise<SampledBatch>;
  /** Lets rollouts that run ahead continue, with the weights after a step. */
  continueAfter(step: number): void;
  /** The responses sampled so far that the weights after a step could not sample again. */
  keptAfter(step: number): Promise<readonly KeptBatch[]>;
  /** Metrics of a batch that a step is about to train on. */
  metrics(scored: readonly SampledResponse[]): Metrics;
}

/** Samples each batch when its step begins, with the weights that the step starts from. */
export const lockstep: BatchSource = {
  take: (context, state, step, clock) => sampleBatch(context, state, step, clock),
  continueAfter: () => undefined,
  keptAfter: () => Promise.resolve([]),
  metrics: () => ({}),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

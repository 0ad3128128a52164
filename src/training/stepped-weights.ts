import type { Placed } from '../optim/sliced-array.ts';

/** Weights that learners step together, each its part. */
export interface SteppedWeights extends Disposable {
  /** The learner's own part, `[N / learners]`, which its optimizer steps in place. */
  readonly own: Placed<'f32' | 'bf16'>;
  /** The learner's part of the working copy, which each step writes too; null where models compute with `own`. */
  readonly ownWorking: Placed | null;
  /** Copies every learner's stepped part to every learner. */
  spread(): Promise<void>;
  /** Copies the weights in the memory of learner 0's process to every learner. */
  take(): Promise<void>;
  /** Copies the weights to the memory of learner 0's process. */
  collect(): Promise<void>;
}

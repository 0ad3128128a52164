import type { Placed } from '../optim/sliced-array.ts';

/** The weights that learners step together, each a part of them. */
export interface SteppedWeights extends Disposable {
  /** `[N / learners]`, this learner's part, which its optimizer steps in place. */
  readonly own: Placed<'f32' | 'bf16'>;
  /** The same part of the copy that models compute with, which each step writes too; null where that is `own`. */
  readonly ownWorking: Placed | null;
  /** Brings every learner's part, stepped, to every learner. */
  spread(): Promise<void>;
  /** Brings the weights that learner 0 has in its process's memory to every learner. */
  take(): Promise<void>;
  /** Brings the weights as they are into the memory of learner 0's process. */
  collect(): Promise<void>;
}

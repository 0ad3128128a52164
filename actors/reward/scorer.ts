import type { Answer } from '../../src/data/answer.ts';
import type { Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';

/** A user's function, run where it cannot take the actor down with it. */
export interface Scorer extends AsyncDisposable {
  /** Loads the function. @throws REWARD_INVALID when that fails */
  start(signal: AbortSignal): Promise<void>;
  /**
   * What became of each response; one call at a time.
   *
   * @throws REWARD_INVALID, in words that go on after the function's name, when the function threw over the batch as a
   *   whole, died, returned the wrong number of values, or took longer than `limitMs` and was ended; the signal's
   *   reason when that was aborted
   */
  score(
    batch: readonly RewardInput<Answer>[],
    limitMs: number,
    signal: AbortSignal,
  ): Promise<Outcome[]>;
}

/** Time for loading a function, which may mean heavy libraries. */
export const LOAD_LIMIT_MS = 120_000;

/** A limit as the user set it. */
export function overTime(limitMs: number): string {
  return `took longer than ${limitMs / 1000} s (worker.reward.timeout_seconds)`;
}

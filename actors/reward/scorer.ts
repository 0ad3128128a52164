import type { RewardFile } from '../../src/config/names.ts';
import type { Answer } from '../../src/data/row.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import type { RewardType } from '../../src/reward/user-function.ts';
import { LOAD_LIMIT_MS, titleOf } from '../user-code/user-code.ts';

/** A user's function, and how it is loaded. */
export interface FunctionProps {
  readonly source: RewardFile;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Form of the calls, unless the file names its own. */
  readonly rewardType: RewardType;
}

/** A user's function, run where it cannot take the actor down with it. */
export interface Scorer extends AsyncDisposable {
  /** Loads the function. @throws REWARD_INVALID when that fails */
  start(signal: AbortSignal): Promise<void>;
  /**
   * Scores a batch; one call at a time.
   *
   * @throws SHAPE_MISMATCH for another number of scores than responses; ACTOR_TIMEOUT when the function took longer
   *   than `limitMs` and was ended; REWARD_INVALID when it threw or died, with a message that continues the function's
   *   name; the signal's reason
   */
  score(
    batch: readonly RewardInput<Answer>[],
    limitMs: number,
    signal: AbortSignal,
  ): Promise<Outcome[]>;
}

/** The error of a function that does not load. */
export function loadError(source: RewardFile, thrown: unknown): CxmindError {
  const { code, message } = asCxmindError(thrown);
  const why = code === 'ACTOR_TIMEOUT' ? `took longer than ${LOAD_LIMIT_MS / 1000} s` : message;
  const whole = `reward function: ${titleOf(source)} does not load: ${why}`;
  return new CxmindError('REWARD_INVALID', whole, { cause: thrown });
}

import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import type { RewardFile } from '../../src/config/reward-file.ts';
import type { Answer } from '../../src/data/row.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import type { RewardType } from '../../src/reward/user-function.ts';
import type { Logger } from '../runtime/actor.ts';

/** Which function scores, and how it is loaded. */
export interface FunctionProps {
  readonly source: RewardFile;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** How the function is called where its file does not say it. */
  readonly rewardType: RewardType;
}

/** A user's function, run where it cannot take the actor down with it. */
export interface Scorer extends AsyncDisposable {
  /** Loads the function. @throws REWARD_INVALID when that fails */
  start(signal: AbortSignal): Promise<void>;
  /**
   * What became of each response; one call at a time.
   *
   * @throws SHAPE_MISMATCH for another number of scores than responses, ACTOR_TIMEOUT when it took longer than
   *   `limitMs` and was ended, else in words that go on after the function's name when it threw over the batch as a
   *   whole or died; the signal's reason when that was aborted
   */
  score(
    batch: readonly RewardInput<Answer>[],
    limitMs: number,
    signal: AbortSignal,
  ): Promise<Outcome[]>;
}

/** Time for loading a function, which may mean heavy libraries. */
export const LOAD_LIMIT_MS = 120_000;

/** Time for what a function does at exit. */
export const EXIT_LIMIT_MS = 2_000;

/** What a function is called in logs and errors. */
export function titleOf({ file, name }: RewardFile): string {
  return `${file}:${name}`;
}

/** The error of a function that does not load, out of what went wrong. */
export function loadError(source: RewardFile, thrown: unknown): CxmindError {
  const { code, message } = asCxmindError(thrown);
  const why = code === 'ACTOR_TIMEOUT' ? `took longer than ${LOAD_LIMIT_MS / 1000} s` : message;
  const whole = `reward function: ${titleOf(source)} does not load: ${why}`;
  return new CxmindError('REWARD_INVALID', whole, { cause: thrown });
}

/** Letters of a printed line that are kept. */
const LONGEST_LINE = 2000;

/** Logs what a function prints, line by line. */
export function logPrinted(
  stream: Readable,
  logger: Logger,
  onLine?: (line: string) => void,
): void {
  createInterface({ input: stream, crlfDelay: Infinity }).on('line', (whole) => {
    if (whole.trim() === '') return;
    const line = whole.length > LONGEST_LINE ? `${whole.slice(0, LONGEST_LINE)}…` : whole;
    logger.info({ line }, 'reward function printed');
    onLine?.(line);
  });
}

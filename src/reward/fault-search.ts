/** Scores of a batch by a function that may fail over some of its responses, which are found by bisection. */
import { asCxmindError } from '../errors.ts';
import type { Outcome } from './outcome.ts';

/**
 * Scores a batch within a time limit.
 *
 * @throws SHAPE_MISMATCH for a wrong number of scores, ACTOR_TIMEOUT past the limit; any error that concerns no single
 *   response
 */
export type TimedScore<I> = (batch: readonly I[], limitMs: number) => Promise<Outcome[]>;

/** Options of a search for faulty responses. */
export interface FaultSearch {
  /** Time limit of a call over the whole batch. */
  readonly limitMs: number;
  /** Ends the search at the first response that cannot be scored. */
  readonly stopsAtFirst: boolean;
  /** Ends the search with the error of the running call. */
  readonly signal: AbortSignal;
}

/** Least time limit of a part of a batch. It covers the fixed cost of a call. */
const LEAST_MS = 1000;

/**
 * Scores a batch, and finds by bisection the responses that a function throws over, hangs on or dies of.
 *
 * A call that fails as a whole is repeated on either half until one response is at fault. After a timeout each half
 * gets half the time. The sound responses are then scored together once more, because a function of a batch may
 * compare them. One response that hangs costs about twice `limitMs`.
 *
 * @returns one outcome for each response, in order; undefined for a response that was not scored before the search
 *   ended
 * @throws SHAPE_MISMATCH for a wrong number of scores of the whole batch, if the search stops at the first fault
 */
export async function scoreWithFaults<I>(
  score: TimedScore<I>,
  batch: readonly I[],
  { limitMs, stopsAtFirst, signal }: FaultSearch,
): Promise<(Outcome | undefined)[]> {
  const outcomes = new Array<Outcome | undefined>(batch.length).fill(undefined);
  let isOver = false as boolean;

  /** Scores some responses. @returns true if the call over them failed as a whole */
  const settle = async (indices: readonly number[], timeMs: number): Promise<boolean> => {
    if (isOver) return true;
    let found: Outcome[];
    try {
      found = await score(
        indices.map((i) => batch[i]!),
        timeMs,
      );
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const { code, message } = asCxmindError(thrown);
      if (code === 'SHAPE_MISMATCH' && stopsAtFirst && indices.length === batch.length) {
        throw thrown;
      }
      const isLate = code === 'ACTOR_TIMEOUT';
      if (indices.length > 1) {
        const middle = indices.length >> 1;
        const partMs = isLate ? Math.min(timeMs, Math.max(LEAST_MS, timeMs / 2)) : timeMs;
        await settle(indices.slice(0, middle), partMs);
        await settle(indices.slice(middle), partMs);
        return true;
      }
      found = [{ problem: isLate ? lateness(timeMs, limitMs) : message }];
    }
    for (const [at, index] of indices.entries()) outcomes[index] = found[at]!;
    isOver = stopsAtFirst && found.some((outcome) => 'problem' in outcome);
    return false;
  };

  const wasTornApart = await settle([...batch.keys()], limitMs);
  const sound = [...batch.keys()].filter((i) => isSound(outcomes[i]));
  if (!wasTornApart || isOver || sound.length === 0) return outcomes;
  try {
    const together = await score(
      sound.map((i) => batch[i]!),
      limitMs,
    );
    for (const [at, index] of sound.entries()) outcomes[index] = together[at]!;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    // The function fails over sound responses now and then. The outcomes of the parts stand.
  }
  return outcomes;
}

function isSound(outcome: Outcome | undefined): boolean {
  return outcome !== undefined && 'parts' in outcome;
}

/** Problem of a response that timed out: the limit, and the response's share of it if that was shorter. */
function lateness(timeMs: number, limitMs: number): string {
  const whole = `took longer than ${limitMs / 1000} s (worker.reward.timeout_seconds)`;
  if (timeMs === limitMs) return whole;
  return `the call with it ${whole}, and it alone longer than its share of ${timeMs / 1000} s`;
}

import { asCxmindError } from '../errors.ts';
import type { Outcome } from './outcome.ts';

/**
 * Scores a batch within a time.
 *
 * @throws SHAPE_MISMATCH for another number of scores than responses, ACTOR_TIMEOUT when it took longer; else what
 *   cannot be laid at one response's door
 */
export type TimedScore<I> = (batch: readonly I[], limitMs: number) => Promise<Outcome[]>;

/** How a search for faulty responses is done. */
export interface FaultSearch {
  /** The longest a call over the whole batch may take. */
  readonly limitMs: number;
  /** Whether one response that cannot be scored is enough to know of. */
  readonly stopsAtFirst: boolean;
  /** Ends the search, with what the call that was under way threw. */
  readonly signal: AbortSignal;
}

/** What a part of a batch may take at least, however small it is: time for what a call costs by itself. */
const LEAST_MS = 1000;

/**
 * Scores a batch, and finds the responses that a function throws over, hangs on or dies of.
 *
 * A call that fails as a whole is made again on either half until the fault is one response's; where it ran out of
 * time, each half gets its share. The others are then scored together once more, because a function of a batch may
 * compare them. One response that hangs costs about twice `limitMs`.
 *
 * @returns one outcome a response, in order; undefined for one that was not looked at any more
 * @throws SHAPE_MISMATCH for a wrong number of scores of the whole batch, where one fault is enough to know of
 */
export async function scoreWithFaults<I>(
  score: TimedScore<I>,
  batch: readonly I[],
  { limitMs, stopsAtFirst, signal }: FaultSearch,
): Promise<(Outcome | undefined)[]> {
  const outcomes = new Array<Outcome | undefined>(batch.length).fill(undefined);
  let isOver = false as boolean;

  /** @returns whether the call over these was one that failed as a whole */
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
    // It fails over sound responses now and then: what it said of the parts stands.
  }
  return outcomes;
}

function isSound(outcome: Outcome | undefined): boolean {
  return outcome !== undefined && 'parts' in outcome;
}

/** What is told of a response that was late: the limit that was set, and its share where it had to do with one. */
function lateness(timeMs: number, limitMs: number): string {
  const whole = `took longer than ${limitMs / 1000} s (worker.reward.timeout_seconds)`;
  if (timeMs === limitMs) return whole;
  return `the call with it ${whole}, and it alone longer than its share of ${timeMs / 1000} s`;
}

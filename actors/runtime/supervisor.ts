import type { CxmindError } from '../../src/errors.ts';

/** What becomes of an actor that crashed. */
export type Supervision =
  | {
      readonly onCrash: 'restart';
      /** Restarts allowed within any window; one crash more and the actor is given up. */
      readonly maxRestarts: number;
      readonly windowMs: number;
      /** Wait before the first restart of a window; doubles with each, up to `maxBackoffMs`. */
      readonly minBackoffMs: number;
      readonly maxBackoffMs: number;
      /** What follows when the limit is reached. */
      readonly givenUp: 'stop' | 'escalate';
    }
  | { readonly onCrash: 'stop' }
  /** The whole system stops, with the crash as the reason. */
  | { readonly onCrash: 'escalate' };

export type Verdict =
  | { readonly kind: 'restart'; readonly afterMs: number }
  | { readonly kind: 'stop' }
  | { readonly kind: 'escalate' };

/** Restart, five times a minute at most, then escalate. */
export const defaultSupervision: Supervision = {
  onCrash: 'restart',
  maxRestarts: 5,
  windowMs: 60_000,
  minBackoffMs: 50,
  maxBackoffMs: 5_000,
  givenUp: 'escalate',
};

/**
 * What to do about a crash.
 *
 * @param crashTimes when the actor crashed, in milliseconds, this crash last
 * @param reason     why it crashed; PLACEMENT_FAILED, when no place was left for it, is not tried again
 */
export function verdictOn(
  supervision: Supervision,
  crashTimes: readonly number[],
  reason?: CxmindError,
): Verdict {
  if (supervision.onCrash !== 'restart') return { kind: supervision.onCrash };
  const { maxRestarts, windowMs, minBackoffMs, maxBackoffMs, givenUp } = supervision;
  if (reason?.code === 'PLACEMENT_FAILED') return { kind: givenUp };
  const now = crashTimes.at(-1) ?? 0;
  const recent = crashTimes.filter((time) => now - time < windowMs).length;
  if (recent > maxRestarts) return { kind: givenUp };
  const doublings = Math.min(recent - 1, 60);
  return { kind: 'restart', afterMs: Math.min(maxBackoffMs, minBackoffMs * 2 ** doublings) };
}

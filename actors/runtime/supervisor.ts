import type { CxmindError } from '../../src/errors.ts';

/** Strategy for an actor that crashed. */
export type Supervision =
  | {
      readonly onCrash: 'restart';
      /** Number of restarts within any window. After one more crash the actor is given up. */
      readonly maxRestarts: number;
      readonly windowMs: number;
      /** Delay of the first restart of a window. It doubles with each, up to `maxBackoffMs`. */
      readonly minBackoffMs: number;
      readonly maxBackoffMs: number;
      /** Verdict once the actor is given up. */
      readonly givenUp: 'stop' | 'escalate';
    }
  /** Stops the actor; the others go on. */
  | { readonly onCrash: 'stop' }
  /** Stops the whole system, with the crash as the reason. */
  | { readonly onCrash: 'escalate' };

/** Decision on one crash. */
type Verdict =
  | { readonly kind: 'restart'; readonly afterMs: number }
  | { readonly kind: 'stop' }
  | { readonly kind: 'escalate' };

/** Restarts five times a minute at most, then escalates. */
export const defaultSupervision: Supervision = {
  onCrash: 'restart',
  maxRestarts: 5,
  windowMs: 60_000,
  minBackoffMs: 50,
  maxBackoffMs: 5_000,
  givenUp: 'escalate',
};

/**
 * Decides on a crash.
 *
 * @param crashTimes times of the actor's crashes, in milliseconds, this one last
 * @param reason     cause of this crash
 */
export function verdictOn(
  supervision: Supervision,
  crashTimes: readonly number[],
  reason?: CxmindError,
): Verdict {
  if (supervision.onCrash !== 'restart') return { kind: supervision.onCrash };
  const { maxRestarts, minBackoffMs, maxBackoffMs, givenUp } = supervision;
  // The launcher has already waited a whole window for room.
  if (reason?.code === 'PLACEMENT_FAILED') return { kind: givenUp };
  const recent = recentCrashes(supervision, crashTimes).length;
  if (recent > maxRestarts) return { kind: givenUp };
  // 60 keeps the power finite; the maximum is reached long before.
  const doublings = Math.min(recent - 1, 60);
  return { kind: 'restart', afterMs: Math.min(maxBackoffMs, minBackoffMs * 2 ** doublings) };
}

/** The times of crashes in the window that ends with the last one. Earlier ones decide on nothing. */
function recentCrashes(supervision: Supervision, times: readonly number[]): number[] {
  const windowMs = supervision.onCrash === 'restart' ? supervision.windowMs : 0;
  const now = times.at(-1) ?? 0;
  return times.filter((time) => now - time < windowMs);
}

/** The crashes of an actor or a node that its supervision still counts. */
export class CrashRecord {
  readonly #supervision: Supervision;
  #times: readonly number[] = [];

  constructor(supervision: Supervision) {
    this.#supervision = supervision;
  }

  /** Notes a crash at this moment, and decides on it. @param reason its cause */
  add(reason?: CxmindError): Verdict {
    this.#times = recentCrashes(this.#supervision, [...this.#times, performance.now()]);
    return verdictOn(this.#supervision, this.#times, reason);
  }
}

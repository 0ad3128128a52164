/** Supervision: the decision on an actor or a process that crashed. */
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

/** The crashes of an actor or a node that its supervision still counts. */
export class CrashRecord {
  readonly #supervision: Supervision;
  #times: readonly number[] = [];

  constructor(supervision: Supervision) {
    this.#supervision = supervision;
  }

  /**
   * Notes a crash, and decides on it.
   *
   * @param reason its cause
   * @param now    milliseconds on the clock of `performance.now`
   */
  add(reason?: CxmindError, now = performance.now()): Verdict {
    const supervision = this.#supervision;
    if (supervision.onCrash !== 'restart') return { kind: supervision.onCrash };
    const { maxRestarts, windowMs, minBackoffMs, maxBackoffMs, givenUp } = supervision;
    // Earlier crashes than those of the window that ends now decide on nothing.
    this.#times = [...this.#times, now].filter((time) => now - time < windowMs);
    const recent = this.#times.length;
    // Without room, the launcher has already waited a whole window for some.
    if (reason?.code === 'PLACEMENT_FAILED' || recent > maxRestarts) return { kind: givenUp };
    // 60 keeps the power finite; the maximum is reached long before.
    const doublings = Math.min(recent - 1, 60);
    return { kind: 'restart', afterMs: Math.min(maxBackoffMs, minBackoffMs * 2 ** doublings) };
  }
}

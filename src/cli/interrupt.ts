/** Signals that end the work of a command in order, or ask it to save. */
import { constants } from 'node:os';
import { CxmindError } from '../errors.ts';

/**
 * Time within which a second signal echoes the first: the terminal signals the process group, and the launcher passes its
 * own signal on.
 */
export const echoMs = 500;

/** Signals that end a command: from a key, from a scheduler, from a terminal that is closed. */
const ending = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Signals that schedulers warn with: SIGUSR1 asks for a checkpoint, SIGUSR2 ends work that saves. */
const warning = ['SIGUSR1', 'SIGUSR2'] as const;
/** Signals of schedulers, which expect the exit code 0. */
const orderly: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGUSR2'];

/** The ways in which work hears of signals. */
export interface Interruption {
  /** Aborts when the work is to end without saving. */
  readonly signal: AbortSignal;
  /** Aborts when the work is to save and return. */
  readonly preemption: AbortSignal;
  /** Target of the event `save`, which asks the work to save and go on. */
  readonly saveRequests: EventTarget;
}

/**
 * Runs `work`, which hears of signals and so can end in order.
 *
 * Work that saves hears of SIGUSR1 by `saveRequests` and of all other signals by `preemption`. Other work hears of
 * SIGINT, SIGTERM and SIGHUP by `signal`. A second signal ends the process at once, unless it echoes the first.
 *
 * @param tell for work that saves and returns when it is asked to: receives a line that says what a signal does; null
 *   for other work
 * @throws RUNTIME_CANCELLED once `work` has ended after an interrupt, however it ended
 */
export async function interruptible<T>(
  work: (interruption: Interruption) => Promise<T>,
  tell: ((line: string) => void) | null = null,
): Promise<T> {
  const interrupted = new AbortController();
  const preempted = new AbortController();
  const saveRequests = new EventTarget();
  let first: { readonly atMs: number; readonly error: CxmindError } | null = null;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGUSR1') {
      saveRequests.dispatchEvent(new Event('save'));
    } else if (first === null) {
      const isOrderly = tell !== null && orderly.includes(signal);
      const detail = { signal, isOrderly };
      const error = new CxmindError('RUNTIME_CANCELLED', 'interrupted', { detail });
      first = { atMs: Date.now(), error };
      tell?.(`${signal}: saving the last whole step, then ending; once more ends at once`);
      (tell === null ? interrupted : preempted).abort(error);
    } else if (Date.now() - first.atMs > echoMs) {
      process.exit(exitCodeOfSignal(signal));
    }
  };
  const throwIfInterrupted = (): void => {
    if (first !== null && first.error.detail['isOrderly'] !== true) throw first.error;
  };
  const signals = tell === null ? ending : [...ending, ...warning];
  for (const signal of signals) process.on(signal, onSignal);
  try {
    const { signal } = interrupted;
    const result = await work({ signal, preemption: preempted.signal, saveRequests });
    throwIfInterrupted();
    return result;
  } catch (error) {
    interrupted.signal.throwIfAborted();
    throw error;
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

/** Exit code of a process that a signal ended: 128 and the signal's number. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

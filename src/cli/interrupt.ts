import { constants } from 'node:os';
import { CxmindError } from '../errors.ts';
import { complain } from './terminal.ts';

/** A terminal signals the whole process group, and the launcher passes it on once more: one key press. */
const echoMs = 500;

/** Signals that end a command: from a key, from a scheduler, from a terminal that is closed. */
const ending = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Besides, those that Slurm and others are asked to warn with: the second ends work that saves. */
const warning = ['SIGUSR1', 'SIGUSR2'] as const;
/** Schedulers expect 0 of what they asked to end. */
const orderly: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGUSR2'];

/** What work is interrupted by. */
export interface Interruption {
  /** Aborts when the work is to end, and what it was doing is lost. */
  readonly signal: AbortSignal;
  /** Aborts when the work is to save what it has, and return. */
  readonly preemption: AbortSignal;
  /** An event `save` asks it to save what it has, and to go on. */
  readonly saveRequests: EventTarget;
}

/**
 * Runs `work` with what tells it of signals, so that it can end in order.
 *
 * Work that saves hears of all of them by `preemption`, but of SIGUSR1 by `saveRequests`; other work hears of SIGINT,
 * SIGTERM and SIGHUP by `signal`. The second signal that ends, unless it echoes the first, ends the process at once.
 *
 * @param options.saves whether the work saves what it has and returns when it is asked to
 * @param options.tell  hears what a signal brings about, one line
 * @throws RUNTIME_CANCELLED once `work` has ended after an interrupt, however it ended
 */
export async function interruptible<T>(
  work: (interruption: Interruption) => Promise<T>,
  {
    saves = false,
    tell = complain,
  }: { readonly saves?: boolean; readonly tell?: (line: string) => void } = {},
): Promise<T> {
  const interrupted = new AbortController();
  const preempted = new AbortController();
  const saveRequests = new EventTarget();
  let first: { readonly atMs: number; readonly error: CxmindError } | null = null;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGUSR1') {
      saveRequests.dispatchEvent(new Event('save'));
    } else if (first === null) {
      const isOrderly = saves && orderly.includes(signal);
      const detail = { signal, isOrderly };
      const error = new CxmindError('RUNTIME_CANCELLED', 'interrupted', { detail });
      first = { atMs: Date.now(), error };
      if (saves) tell(`${signal}: saving the last whole step, then ending; once more ends at once`);
      (saves ? preempted : interrupted).abort(error);
    } else if (Date.now() - first.atMs > echoMs) {
      process.exit(exitCodeOfSignal(signal));
    }
  };
  const throwIfInterrupted = (): void => {
    if (first !== null && first.error.detail['isOrderly'] !== true) throw first.error;
  };
  const signals = saves ? [...ending, ...warning] : ending;
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

/** 128 and the signal's number. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

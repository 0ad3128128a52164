import { CxmindError } from '../errors.ts';

/** A terminal signals the whole process group, and the launcher passes it on once more: one key press. */
const echoMs = 500;

/** What work is interrupted by. */
export interface Interruption {
  /** Aborts on SIGINT, and on SIGTERM where that does not preempt: the work is to end, and what it was doing is lost. */
  readonly signal: AbortSignal;
  /** Aborts on SIGTERM where that preempts: the work is to save what it has, and return. */
  readonly preemption: AbortSignal;
}

/**
 * Runs `work` with signals that abort on SIGINT or SIGTERM, so that it can end in order.
 *
 * A second SIGINT ends the process at once, and so does any signal after one that preempts.
 *
 * @param options.sigterm whether SIGTERM asks for the host back, as schedulers do, or interrupts as SIGINT does
 * @throws RUNTIME_CANCELLED once `work` has ended after an interrupt, however it ended
 */
export async function interruptible<T>(
  work: (interruption: Interruption) => Promise<T>,
  { sigterm = 'interrupts' }: { readonly sigterm?: 'interrupts' | 'preempts' } = {},
): Promise<T> {
  const interrupted = new AbortController();
  const preempted = new AbortController();
  let first = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (first > 0) {
      const isAgain = Date.now() - first > echoMs;
      if (isAgain && (signal === 'SIGINT' || preempted.signal.aborted)) process.exit(codes[signal]);
      return;
    }
    first = Date.now();
    const error = new CxmindError('RUNTIME_CANCELLED', 'interrupted', { detail: { signal } });
    const isPreemption = signal === 'SIGTERM' && sigterm === 'preempts';
    (isPreemption ? preempted : interrupted).abort(error);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const result = await work({ signal: interrupted.signal, preemption: preempted.signal });
    interrupted.signal.throwIfAborted();
    return result;
  } catch (error) {
    interrupted.signal.throwIfAborted();
    throw error;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

const codes: Readonly<Partial<Record<NodeJS.Signals, number>>> = { SIGINT: 130, SIGTERM: 143 };

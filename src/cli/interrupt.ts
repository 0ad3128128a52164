import { CxmindError } from '../errors.ts';

/** A terminal signals the whole process group, and the launcher passes it on once more: one key press. */
const echoMs = 500;

/**
 * Runs `work` with a signal that aborts on SIGINT or SIGTERM, so that it can end in order.
 *
 * A second SIGINT ends the process at once.
 *
 * @throws RUNTIME_CANCELLED once `work` has ended after an interrupt, however it ended
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let interruptedAt = 0;
  const interrupt = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      if (signal === 'SIGINT' && Date.now() - interruptedAt > echoMs) process.exit(130);
      return;
    }
    interruptedAt = Date.now();
    controller.abort(new CxmindError('RUNTIME_CANCELLED', 'interrupted', { detail: { signal } }));
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  try {
    const result = await work(controller.signal);
    controller.signal.throwIfAborted();
    return result;
  } catch (error) {
    controller.signal.throwIfAborted();
    throw error;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

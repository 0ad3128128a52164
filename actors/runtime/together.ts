import { addAbortListener } from 'node:events';
import { asCxmindError } from '../../src/errors.ts';

/**
 * Waits for work that depends on others, until the signal is aborted. If the others are gone, the work may never end.
 *
 * @throws what the work throws; the signal's reason once that is aborted
 */
export async function together<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  using _ = addAbortListener(signal, () => reject(asCxmindError(signal.reason)));
  return await Promise.race([work, aborted]);
}

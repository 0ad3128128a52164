import { addAbortListener } from 'node:events';
import { asCxmindError } from '../../src/errors.ts';

/** Resolves as work does, or rejects once nobody waits for it: who shares the work may be gone. */
export async function together<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  using _ = addAbortListener(signal, () => reject(asCxmindError(signal.reason)));
  return await Promise.race([work, aborted]);
}

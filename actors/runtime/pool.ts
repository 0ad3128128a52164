import { CxmindError, type ErrorCode } from '../../src/errors.ts';
import type { MethodOf, Protocol, ReplyOf, RequestOf } from './protocol.ts';
import type { ActorRef, AskOptions } from './ref.ts';

/** Failures that say nothing about the message: another actor may well answer it. */
const elsewhere: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ACTOR_CRASHED',
  'ACTOR_STOPPED',
  'ACTOR_TIMEOUT',
  'PEER_LOST',
]);

/**
 * The ref with the fewest messages pending, the first of equals; actors that run come before those that restart.
 *
 * @throws ACTOR_STOPPED when none is left
 */
export function leastBusy<P extends Protocol>(refs: readonly ActorRef<P>[]): ActorRef<P> {
  const rank = ({ status, pending }: ActorRef<P>): number =>
    status === 'running' ? pending : 2 ** 31 + pending;
  let best: ActorRef<P> | undefined;
  for (const ref of refs) {
    if (ref.status === 'stopped' || ref.status === 'stopping') continue;
    if (best === undefined || rank(ref) < rank(best)) best = ref;
  }
  if (best === undefined) {
    const names = refs.map(({ name }) => name).join(', ');
    throw new CxmindError('ACTOR_STOPPED', `none of [${names}] runs`);
  }
  return best;
}

/**
 * Asks the least busy of several like actors, and again another when that one crashed, stopped or did not answer.
 *
 * Only for work that may be done twice; the errors of handlers are not retried.
 *
 * @param options.timeoutMs for each attempt
 * @param options.retries   attempts after the first
 */
export async function askAny<P extends Protocol, M extends MethodOf<P>>(
  refs: readonly ActorRef<P>[],
  method: M,
  message: RequestOf<P, M>,
  options: AskOptions & { readonly retries: number },
): Promise<ReplyOf<P, M>> {
  for (let attempt = 0; ; attempt++) {
    const ref = leastBusy(refs);
    try {
      return await ref.ask[method](message, options);
    } catch (error) {
      const isRetried = error instanceof CxmindError && elsewhere.has(error.code);
      if (!isRetried || attempt >= options.retries) throw error;
    }
  }
}

/** Asks to several actors of one kind: to the least busy of them, or to all at once. */
import { CxmindError, type ErrorCode } from '../../src/errors.ts';
import type { MethodOf, Protocol, ReplyOf, RequestOf } from './protocol.ts';
import type { ActorRef, AskOptions } from './ref.ts';

/** Codes of failures that say nothing about the message, so that another actor may well answer it. */
const retried: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ACTOR_CRASHED',
  'ACTOR_STOPPED',
  'ACTOR_TIMEOUT',
  'PEER_LOST',
]);

/**
 * Picks the ref with the fewest pending messages, the first of equals.
 *
 * An actor that runs comes before one that restarts. Stopped ones are never picked.
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
 * Asks the least busy of several actors, and tries another when that one crashed, stopped or did not reply in time.
 *
 * Use it for work that may be done twice. Errors of handlers are not retried.
 *
 * @param options.timeoutMs for each attempt
 * @param options.retries   attempts after the first
 */
export function askAny<P extends Protocol, M extends MethodOf<P>>(
  refs: readonly ActorRef<P>[],
  method: M,
  message: RequestOf<P, M>,
  options: AskOptions & { readonly retries: number },
): Promise<ReplyOf<P, M>> {
  return withAny(refs, options, (ref) => ref.ask[method](message, options));
}

/** Does work with the least busy of several actors, as `askAny` asks it. */
export async function withAny<P extends Protocol, T>(
  refs: readonly ActorRef<P>[],
  options: { readonly retries: number },
  work: (ref: ActorRef<P>) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const ref = leastBusy(refs);
    try {
      return await work(ref);
    } catch (error) {
      const isRetried = error instanceof CxmindError && retried.has(error.code);
      if (!isRetried || attempt >= options.retries) throw error;
    }
  }
}

/** One message for all actors, or a function that makes each actor's own from its index in the list. */
type Spread<Message> = Message | ((index: number) => Message);

/**
 * Asks every actor at once. The first failure cancels the other asks.
 *
 * @returns the replies, in the order of the refs
 * @throws the first failure
 */
export async function gather<P extends Protocol, M extends MethodOf<P>>(
  refs: readonly ActorRef<P>[],
  method: M,
  message: Spread<RequestOf<P, M>>,
  options: AskOptions,
): Promise<ReplyOf<P, M>[]> {
  const failure = new AbortController();
  const signals = options.signal === undefined ? [] : [options.signal];
  const signal = AbortSignal.any([failure.signal, ...signals]);
  try {
    return await Promise.all(askEach(refs, method, message, { ...options, signal }));
  } catch (error) {
    failure.abort(error);
    throw error;
  }
}

/** Asks every actor at once and waits for all of them, whether they reply or fail. */
export function gatherSettled<P extends Protocol, M extends MethodOf<P>>(
  refs: readonly ActorRef<P>[],
  method: M,
  message: Spread<RequestOf<P, M>>,
  options: AskOptions,
): Promise<PromiseSettledResult<ReplyOf<P, M>>[]> {
  return Promise.allSettled(askEach(refs, method, message, options));
}

function askEach<P extends Protocol, M extends MethodOf<P>>(
  refs: readonly ActorRef<P>[],
  method: M,
  message: Spread<RequestOf<P, M>>,
  options: AskOptions,
): Promise<ReplyOf<P, M>>[] {
  return refs.map((ref, index) => ref.ask[method](messageFor(message, index), options));
}

// Messages are plain data, so a function can only be the second form of a spread.
function messageFor<Message>(message: Spread<Message>, index: number): Message {
  if (typeof message !== 'function') return message;
  return (message as (index: number) => Message)(index);
}

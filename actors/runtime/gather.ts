import type { MethodOf, Protocol, ReplyOf, RequestOf } from './protocol.ts';
import type { ActorRef, AskOptions } from './ref.ts';

/** One message for all, or each actor's own by its place in the list. */
export type Spread<Message> = Message | ((index: number) => Message);

/**
 * Asks many actors at once.
 *
 * @returns their replies, in the order of the refs
 * @throws the first failure; the other asks are cancelled then
 */
export async function gather<P extends Protocol, M extends MethodOf<P>>(
  refs: readonly ActorRef<P>[],
  method: M,
  message: Spread<RequestOf<P, M>>,
  options: AskOptions,
): Promise<ReplyOf<P, M>[]> {
  const failure = new AbortController();
  const cancel = (): void => failure.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', cancel, { once: true });
  if (options.signal?.aborted === true) cancel();
  try {
    const { signal } = failure;
    return await Promise.all(askEach(refs, method, message, { ...options, signal }));
  } catch (error) {
    failure.abort(error);
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', cancel);
  }
}

/** Asks many actors at once and waits for every one, whatever becomes of the others. */
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

/** Messages are plain data, so a function is none. */
function messageFor<Message>(message: Spread<Message>, index: number): Message {
  if (typeof message !== 'function') return message;
  return (message as (index: number) => Message)(index);
}

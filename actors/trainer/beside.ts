/**
 * Runs two pieces of work beside each other.
 *
 * The first failure aborts the other piece. Both have ended when this returns or throws, so nothing goes on behind the
 * back of who handles the failure.
 *
 * @param signal aborts both
 * @throws the first failure
 */
export async function beside<A, B>(
  signal: AbortSignal,
  one: (signal: AbortSignal) => Promise<A>,
  other: (signal: AbortSignal) => Promise<B>,
): Promise<[A, B]> {
  const failure = new AbortController();
  const both = AbortSignal.any([signal, failure.signal]);
  const ending = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    try {
      return await work(both);
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  };
  const works = [ending(one), ending(other)] as const;
  await Promise.allSettled(works);
  failure.signal.throwIfAborted();
  return await Promise.all(works);
}

/**
 * Runs pieces of work concurrently.
 *
 * The first failure aborts the others. All have ended when this returns or throws, so nothing goes on behind the back
 * of who handles the failure.
 *
 * @param signal aborts them all
 * @returns the results, in the order of the pieces
 * @throws the first failure
 */
export async function concurrently<const Results extends readonly unknown[]>(
  signal: AbortSignal,
  ...works: { readonly [K in keyof Results]: (signal: AbortSignal) => Promise<Results[K]> }
): Promise<Results> {
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const begun = works.map(async (work): Promise<unknown> => {
    try {
      return await work(either);
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(begun);
  failure.signal.throwIfAborted();
  return (await Promise.all(begun)) as unknown as Results;
}

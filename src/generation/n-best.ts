/**
 * The best of several responses to one prompt: those whose tokens are likeliest on average.
 *
 * The mean is over the log-probabilities of a response's tokens, so that a long response is not worse for its length.
 *
 * @param count     responses that are kept; all of them, in their order, where there are no more
 * @param logProbsOf log-probabilities of a response's tokens
 */
export function likeliest<T>(
  responses: readonly T[],
  count: number,
  logProbsOf: (response: T) => Iterable<number>,
): T[] {
  if (responses.length <= count) return [...responses];
  const means = new Map(responses.map((response) => [response, meanOf(logProbsOf(response))]));
  return responses.toSorted((a, b) => means.get(b)! - means.get(a)!).slice(0, count);
}

function meanOf(values: Iterable<number>): number {
  const [sum, count] = Iterator.from(values).reduce(
    ([total, n], value) => [total + value, n + 1],
    [0, 0],
  );
  return sum / count;
}

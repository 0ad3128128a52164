import { tokenRows, type TokenRows } from '../../src/algorithms/primitives.ts';
import type { Metrics } from '../../src/metrics.ts';
import type { Group } from '../rollout/protocol.ts';

/**
 * Responses of several turns, as a step sees them: the policy's own tokens, and between them those that an environment
 * showed it.
 */

type Response = Group['responses'][number];
type Responded = { readonly response: Response };

/**
 * The tokens of responses, end to end. The mask leaves out what the policy has not sampled; responses of one turn have
 * none.
 */
export function responseRows(scored: readonly Responded[]): TokenRows {
  const lengths = scored.map(({ response }) => response.tokenIds.data.length);
  if (scored.every(({ response }) => response.episode === null)) return tokenRows(lengths);
  const mask = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const [i, { response }] of scored.entries()) {
    const end = at + lengths[i]!;
    if (response.episode === null) mask.fill(1, at, end);
    else mask.set(response.episode.mask.data, at);
    at = end;
  }
  return tokenRows(lengths, mask);
}

/** Reason why the environment broke a response off; null where it did not, or there is none. */
export function problemOf({ episode }: Response): string | null {
  return episode?.problem ?? null;
}

/** `num_turns/{mean,max,min}`: turns of the policy; nothing where no response has an environment. */
export function episodeMetrics(scored: readonly Responded[]): Metrics {
  const turns = scored.flatMap(({ response }) => response.episode?.turns ?? []);
  if (turns.length === 0) return {};
  return {
    'num_turns/mean': turns.reduce((sum, count) => sum + count, 0) / turns.length,
    'num_turns/max': Math.max(...turns),
    'num_turns/min': Math.min(...turns),
  };
}

/**
 * Responses of several turns, as a step sees them: the policy's own tokens, and between them those that an environment
 * showed it.
 */
import type { TokenRows } from '../../src/algorithms/primitives.ts';
import { summary, type Metrics } from '../../src/metrics.ts';
import { responseRows } from '../../src/training/losses.ts';
import type { Group } from '../rollout/protocol.ts';

type Responded = { readonly response: Group['responses'][number] };

/** The tokens of responses, end to end, of which those that an environment showed count in no loss. */
export function policyTokens(scored: readonly Responded[]): TokenRows {
  return responseRows(
    scored.map(({ response: { tokenIds, episode } }) => ({
      response: tokenIds,
      mask: episode?.mask ?? null,
    })),
  );
}

/** `num_turns/{mean,max,min}`: turns of the policy; nothing where no response has an environment. */
export function episodeMetrics(scored: readonly Responded[]): Metrics {
  const turns = scored.flatMap(({ response }) => response.episode?.turns ?? []);
  return turns.length === 0 ? {} : summary('num_turns', turns);
}

import { gateStep, type GateSpec, type GateState } from '../../src/reward/gate.ts';
import { askAny } from '../runtime/pool.ts';
import type { Cast } from './cast.ts';
import { divide, type PromptGroup } from './rollout-phase.ts';

/** A response with its text and the parts of its score, `overall` being the reward. */
export interface ScoredResponse {
  readonly group: PromptGroup;
  readonly response: PromptGroup['responses'][number];
  readonly text: string;
  readonly parts: Readonly<Record<string, number>>;
}

/** Scores of a batch and the gate after it. */
export interface Scoring {
  readonly scored: readonly ScoredResponse[];
  readonly gate: GateState;
}

const RETRIES = 5;

/**
 * Scores all responses of some groups, in order; the batch gate, where the reward has one, decides here.
 *
 * @param timeoutMs for one call of a reward actor
 */
export async function scoreGroups(
  rewards: Cast['rewards'],
  groups: readonly PromptGroup[],
  gate: { readonly spec: GateSpec | undefined; readonly state: GateState },
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Scoring> {
  const all = groups.flatMap((group) => group.responses.map((response) => ({ group, response })));
  const replies = await Promise.all(
    divide(all, rewards.length).map((share) =>
      askAny(
        rewards,
        'score',
        {
          responses: share.map(({ group, response }) => ({
            tokenIds: response.tokenIds,
            groundTruth: group.prompt.groundTruth,
          })),
        },
        { ...options, retries: RETRIES },
      ),
    ),
  );
  const scored = replies
    .flatMap((reply) => reply.scored)
    .map((score, i) => ({ ...all[i]!, ...score }));
  if (gate.spec === undefined) return { scored, gate: gate.state };
  const { state, overall } = gateStep(
    gate.state,
    scored.map(({ parts }) => parts),
    gate.spec,
  );
  return {
    scored: scored.map((one, i) => ({ ...one, parts: { ...one.parts, overall: overall[i]! } })),
    gate: state,
  };
}

/** The mean of every part, under `reward/<part>`-like names. */
export function meanParts(
  scored: readonly ScoredResponse[],
  nameOf: (part: string) => string,
): Record<string, number> {
  const sums = new Map<string, number>();
  for (const { parts } of scored) {
    for (const [part, value] of Object.entries(parts)) {
      sums.set(part, (sums.get(part) ?? 0) + value);
    }
  }
  return Object.fromEntries([...sums].map(([part, sum]) => [nameOf(part), sum / scored.length]));
}

/** The part that says how often a response is right, whatever the reward calls it. */
export function accuracyOf(parts: Readonly<Record<string, number>>): number {
  return parts['acc'] ?? parts['accuracy'] ?? parts['f1'] ?? parts['overall'] ?? NaN;
}

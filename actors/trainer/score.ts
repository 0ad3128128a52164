import {
  advantageEstimators,
  type AdvantageEstimatorName,
} from '../../src/algorithms/advantage.ts';
import { CxmindError } from '../../src/errors.ts';
import { gateOver, gateStep, type GateChoice, type GateState } from '../../src/reward/gate.ts';
import type { ScoreRequest } from '../reward/protocol.ts';
import { askAny } from '../runtime/pool.ts';
import { problemOf } from './episodes.ts';
import type { Task } from './prompt-feed.ts';
import { divide, type PromptGroup } from './sample.ts';

/** A response with its text and the parts of its score, `overall` being the reward. */
export interface ScoredResponse {
  readonly group: PromptGroup;
  readonly response: PromptGroup['responses'][number];
  readonly text: string;
  readonly parts: Readonly<Record<string, number>>;
}

/** A response that could not be scored, and why. */
export interface InvalidResponse {
  /** The row, and the number of the response to it. */
  readonly name: string;
  readonly problem: string;
}

/** Scores of a batch and the gate after it. */
export interface Scoring {
  /** Responses with a score: all of them, unless `worker.reward.invalid_responses` is `skip`. */
  readonly scored: readonly ScoredResponse[];
  readonly invalid: readonly InvalidResponse[];
  readonly gate: GateState;
}

const RETRIES = 5;
/** Long, since reward actors limit a user's function themselves. */
const TIMEOUT_MS = 24 * 3600_000;

/**
 * Scores all responses of some groups, in order. The gate of a reward decides here, as it needs the whole batch.
 *
 * @throws REWARD_INVALID for a response that cannot be scored, naming row, response, file and function; where these are
 *   skipped, when no response at all can be scored
 */
export async function scoreGroups(
  rewards: Task['rewards'],
  groups: readonly PromptGroup[],
  gate: { readonly spec: GateChoice | undefined; readonly state: GateState },
  signal: AbortSignal,
): Promise<Scoring> {
  const responses = groups.flatMap((group) =>
    group.responses.map((response, i) => ({
      group,
      response,
      name: `row ${group.prompt.promptId}, response ${i + 1} of ${group.responses.length}`,
    })),
  );
  // An episode that its environment broke off is no work of the policy's alone, so nobody judges it.
  const all = responses.filter(({ response }) => problemOf(response) === null);
  const replies = await Promise.all(
    divide(all, rewards.length).map((share) =>
      askAny(rewards, 'score', requestOf(share), {
        timeoutMs: TIMEOUT_MS,
        signal,
        retries: RETRIES,
      }),
    ),
  );
  const scored: ScoredResponse[] = [];
  const invalid: InvalidResponse[] = responses.flatMap(({ response, name }) => {
    const problem = problemOf(response);
    return problem === null ? [] : [{ name, problem }];
  });
  for (const [i, { text, parts, problem }] of replies.flatMap((reply) => reply.scored).entries()) {
    const { group, response, name } = all[i]!;
    if (parts === null) invalid.push({ name, problem: problem ?? 'it was not scored' });
    else scored.push({ group, response, text, parts });
  }
  if (scored.length === 0 && invalid.length > 0) {
    const { name, problem } = invalid[0]!;
    throw new CxmindError(
      'REWARD_INVALID',
      `none of ${invalid.length} responses could be scored, the first being ${name}: ${problem}`,
    );
  }
  const spec = gateOver(gate.spec, scored[0]?.parts ?? {});
  if (spec === undefined) return { scored, invalid, gate: gate.state };
  const { state, overall } = gateStep(
    gate.state,
    scored.map(({ parts }) => parts),
    spec,
  );
  return {
    scored: scored.map((one, i) => ({ ...one, parts: { ...one.parts, overall: overall[i]! } })),
    invalid,
    gate: state,
  };
}

/** A response under its name in errors. */
interface NamedResponse extends Pick<ScoredResponse, 'group' | 'response'> {
  readonly name: string;
}

/** The request to score some responses, each prompt in it once. */
function requestOf(share: readonly NamedResponse[]): ScoreRequest {
  const groups = [...new Set(share.map(({ group }) => group))];
  const indices = new Map(groups.map((group, index) => [group, index]));
  return {
    prompts: groups.map(({ prompt }) => prompt.context),
    responses: share.map(({ group, response, name }) => ({
      name,
      prompt: indices.get(group)!,
      tokenIds: response.tokenIds,
      finishReason: response.finishReason,
      groundTruth: group.prompt.groundTruth,
    })),
  };
}

/**
 * The responses that an advantage can be estimated for. Where responses are compared, one is left out when no other to
 * its prompt could be scored.
 *
 * @throws REWARD_INVALID when none is left
 */
export function withAdvantage(
  { scored, invalid }: Pick<Scoring, 'scored' | 'invalid'>,
  estimator: AdvantageEstimatorName,
): readonly ScoredResponse[] {
  if (invalid.length === 0 || !advantageEstimators[estimator].comparesResponses) return scored;
  const groups = Map.groupBy(scored, ({ group }) => group.id);
  const left = scored.filter(({ group }) => groups.get(group.id)!.length > 1);
  if (left.length > 0) return left;
  const { name, problem } = invalid[0]!;
  throw new CxmindError(
    'REWARD_INVALID',
    `${invalid.length} responses could not be scored, and no prompt has two left, the first being ${name}: ${problem}`,
  );
}

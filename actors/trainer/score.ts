/** Scores of responses by all rewards of a task, and the responses that are left where some have no score. */
import {
  advantageEstimators,
  type AdvantageEstimatorName,
} from '../../src/algorithms/advantage.ts';
import { CxmindError } from '../../src/errors.ts';
import { prefixed, sumMetrics, type Metrics } from '../../src/metrics.ts';
import { gateOver, gateStep, type GateState } from '../../src/reward/gate.ts';
import { mixture } from '../../src/reward/mixture.ts';
import type { ScoreReply, ScoreRequest } from '../reward/protocol.ts';
import { askAny } from '../runtime/pool.ts';
import { concurrently } from './concurrently.ts';
import { ANY_WORK_MS, RETRIES } from './patience.ts';
import type { Task, TaskReward } from './prompt-feed.ts';
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
  /** Costs of scoring, by the reward's name and the metric. */
  readonly counts: Metrics;
}

/**
 * Scores all responses of some groups, in order, by all rewards at once. A gate decides here, as it needs the whole
 * batch.
 *
 * @param gate state of the gate, if one of the rewards has one
 * @returns the gate as it was, where no response could be scored
 * @throws REWARD_INVALID for a response that cannot be scored, naming row, response, file and function, unless these
 *   are skipped
 */
export async function scoreGroups(
  rewards: Task['rewards'],
  groups: readonly PromptGroup[],
  gate: GateState,
  signal: AbortSignal,
): Promise<Scoring> {
  const responses = groups.flatMap((group) =>
    group.responses.map((response, i) => ({
      ...{ group, response, problem: response.episode?.problem ?? null },
      name: `row ${group.prompt.promptId}, response ${i + 1} of ${group.responses.length}`,
    })),
  );
  // An episode that its environment broke off is no work of the policy's alone, so nobody judges it.
  const all = responses.filter(({ problem }) => problem === null);
  const answers = await concurrently(
    signal,
    ...rewards.map((reward) => (aborted: AbortSignal) => askReward(reward, all, aborted)),
  );
  const counts = sumMetrics(
    answers.map(({ counts }, i) => prefixed(rewards[i]!.name ?? 'scoring', counts)),
  );
  const sound: (NamedResponse & { readonly text: string; readonly scores: Parts[] })[] = [];
  const invalid = responses.flatMap(({ name, problem }) =>
    problem === null ? [] : [{ name, problem }],
  );
  for (const [i, one] of all.entries()) {
    const given = answers.map(({ scored }) => scored[i]!);
    const scores = given.map(({ parts }) => parts).filter((parts) => parts !== null);
    const problem = given.find(({ parts }) => parts === null)?.problem ?? 'it was not scored';
    if (scores.length < rewards.length) invalid.push({ name: one.name, problem });
    else sound.push({ ...one, text: given[0]!.text, scores });
  }
  const gated = passGate(
    rewards,
    sound.map(({ scores }) => scores),
    gate,
  );
  const scored = sound.map(({ group, response, text }, i) => ({
    ...{ group, response, text },
    parts: mixture(rewards, gated.scores[i]!),
  }));
  return { scored, invalid, gate: gated.gate, counts };
}

type Parts = Readonly<Record<string, number>>;

/** Scores of some responses by one reward, in order, and the costs of scoring. */
async function askReward(
  { actors, seesPictures = false }: TaskReward,
  all: readonly NamedResponse[],
  signal: AbortSignal,
): Promise<ScoreReply> {
  // Reward actors limit a user's function themselves.
  const options = { timeoutMs: ANY_WORK_MS, signal, retries: RETRIES };
  const replies = await Promise.all(
    divide(all, actors.length).map((share) =>
      askAny(actors, 'score', requestOf(share, seesPictures), options),
    ),
  );
  return {
    scored: replies.flatMap(({ scored }) => scored),
    counts: sumMetrics(replies.map(({ counts }) => counts)),
  };
}

/**
 * Has the gate decide over a batch: the reward that has one gets its `overall` from it.
 *
 * @param scores of each response by each reward
 */
function passGate(
  rewards: Task['rewards'],
  scores: readonly (readonly Parts[])[],
  state: GateState,
): { readonly scores: readonly (readonly Parts[])[]; readonly gate: GateState } {
  const index = rewards.findIndex(({ gate }) => gate !== undefined);
  if (scores.length === 0 || index < 0) return { scores, gate: state };
  const own = scores.map((each) => each[index]!);
  const spec = gateOver(rewards[index]!.gate, own[0]!);
  if (spec === undefined) return { scores, gate: state };
  const step = gateStep(state, own, spec);
  const paid = scores.map((each, i) => each.with(index, { ...own[i]!, overall: step.overall[i]! }));
  return { scores: paid, gate: step.state };
}

/** A response under its name in errors. */
interface NamedResponse extends Pick<ScoredResponse, 'group' | 'response'> {
  readonly name: string;
}

/** The request to score some responses, each prompt in it once. */
function requestOf(share: readonly NamedResponse[], seesPictures: boolean): ScoreRequest {
  const groups = [...new Set(share.map(({ group }) => group))];
  const indices = new Map(groups.map((group, index) => [group, index]));
  return {
    prompts: groups.map(({ prompt: { context, images, bitDepth } }) =>
      seesPictures ? { ...context, images, bitDepth } : context,
    ),
    responses: share.map(({ group, response, name }) => ({
      name,
      prompt: indices.get(group)!,
      tokenIds: response.tokenIds,
      finishReason: response.finishReason,
      groundTruth: group.prompt.groundTruth,
    })),
  };
}

/** The error of a batch, or of a validation, that no response is left of. */
export function noScores(invalid: readonly InvalidResponse[]): CxmindError {
  const { name, problem } = invalid[0]!;
  return new CxmindError(
    'REWARD_INVALID',
    `none of ${invalid.length} responses could be scored, the first being ${name}: ${problem}`,
  );
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
  if (scored.length === 0 && invalid.length > 0) throw noScores(invalid);
  if (invalid.length === 0 || advantageEstimators[estimator].baseline !== 'group') return scored;
  const groups = Map.groupBy(scored, ({ group }) => group.id);
  const left = scored.filter(({ group }) => groups.get(group.id)!.length > 1);
  if (left.length > 0) return left;
  const { name, problem } = invalid[0]!;
  throw new CxmindError(
    'REWARD_INVALID',
    `${invalid.length} responses could not be scored, and no prompt has two left, the first being ${name}: ${problem}`,
  );
}

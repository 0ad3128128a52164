import { CxmindError } from '../../src/errors.ts';
import { gateOver, gateStep, type GateChoice, type GateState } from '../../src/reward/gate.ts';
import { askAny } from '../runtime/pool.ts';
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
  /** Its row, and which of the row's responses it is. */
  readonly name: string;
  readonly problem: string;
}

/** Scores of a batch and the gate after it. */
export interface Scoring {
  /** What there is a score of; all of it unless `worker.reward.invalid_responses` is skip. */
  readonly scored: readonly ScoredResponse[];
  readonly invalid: readonly InvalidResponse[];
  readonly gate: GateState;
}

const RETRIES = 5;
/** The actors know how long a function may take; this is for one that is stuck in its own work. */
const TIMEOUT_MS = 24 * 3600_000;

/**
 * Scores all responses of some groups, in order; the batch gate, where the reward has one, decides here.
 *
 * @throws REWARD_INVALID naming row, response, file and function, for a response that cannot be scored; and when none
 *   at all can be, though they may be skipped
 */
export async function scoreGroups(
  rewards: Task['rewards'],
  groups: readonly PromptGroup[],
  gate: { readonly spec: GateChoice | undefined; readonly state: GateState },
  signal: AbortSignal,
): Promise<Scoring> {
  const all = groups.flatMap((group) =>
    group.responses.map((response, i) => ({
      group,
      response,
      name: `row ${group.prompt.promptId}, response ${i + 1} of ${group.responses.length}`,
    })),
  );
  const replies = await Promise.all(
    divide(all, rewards.length).map((share) =>
      askAny(
        rewards,
        'score',
        {
          responses: share.map(({ group, response, name }) => ({
            name,
            tokenIds: response.tokenIds,
            groundTruth: group.prompt.groundTruth,
          })),
        },
        { timeoutMs: TIMEOUT_MS, signal, retries: RETRIES },
      ),
    ),
  );
  const scored: ScoredResponse[] = [];
  const invalid: InvalidResponse[] = [];
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

const comparing: ReadonlySet<string> = new Set(['grpo', 'grpo_passk', 'rloo']);

/** Whether an estimator compares a response with the others to its prompt. */
export function comparesResponses(estimator: string): boolean {
  return comparing.has(estimator);
}

/**
 * The responses that an advantage can be estimated for: one that was left alone by the others, which could not be
 * scored, has nothing to be compared with.
 *
 * @throws REWARD_INVALID when none is left
 */
export function withAdvantage(
  { scored, invalid }: Pick<Scoring, 'scored' | 'invalid'>,
  estimator: string,
): readonly ScoredResponse[] {
  if (invalid.length === 0 || !comparesResponses(estimator)) return scored;
  const sizes = new Map<string, number>();
  for (const { group } of scored) {
    sizes.set(group.id, (sizes.get(group.id) ?? 0) + 1);
  }
  const left = scored.filter(({ group }) => sizes.get(group.id)! > 1);
  if (left.length > 0) return left;
  const { name, problem } = invalid[0]!;
  throw new CxmindError(
    'REWARD_INVALID',
    `${invalid.length} responses could not be scored, and no prompt has two left, the first being ${name}: ${problem}`,
  );
}

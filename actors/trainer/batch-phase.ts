import { rowsToKeep } from '../../src/algorithms/filter.ts';
import type { Config } from '../../src/config/schema.ts';
import type { PromptCursor } from '../../src/data/prompt-source.ts';
import { CxmindError } from '../../src/errors.ts';
import type { GateState } from '../../src/reward/gate.ts';
import type { Prompt } from '../messages.ts';
import { generateGroups, type PromptGroup } from './rollout-phase.ts';
import {
  comparesResponses,
  scoreGroups,
  withAdvantage,
  type InvalidResponse,
  type ScoredResponse,
  type Scoring,
} from './scoring-phase.ts';
import type { RunState, StepContext } from './step.ts';
import type { Stopwatch } from './stopwatch.ts';

/** The responses that a step trains on. */
export interface Batch {
  /** In the order of their groups; `rollout.n` of each prompt, less those that could not be scored. */
  readonly scored: readonly ScoredResponse[];
  /** Every response that was scored on the way, those of groups that were dropped too. */
  readonly generated: readonly ScoredResponse[];
  /** Responses that could not be scored, where that does not end the run. */
  readonly invalid: readonly InvalidResponse[];
  /** The reward of the greedy response to each group's prompt, by the group's id; empty but for `remax`. */
  readonly baselines: ReadonlyMap<string, number>;
  readonly cursor: PromptCursor;
  /** Rows of the data sets that were left out so far, for being invalid. */
  readonly skipped: number;
  readonly gate: GateState;
}

/** Long enough for any preparation of prompts; a lost actor is noticed at once, without it. */
const TIMEOUT_MS = 24 * 3600_000;

/**
 * Round after round of prompts and responses until a step's are together; what is over is left for nobody.
 *
 * With `algorithm.online_filtering` each round is scored at once, which its batch gate sees as a call of its own, and
 * only groups with a mean of `filter_key` between the bounds count; a round may keep none. Otherwise all are scored
 * when they are together.
 *
 * @throws DATA_INVALID when `trainer.max_try_make_batch` rounds are not enough
 */
export async function makeBatch(
  context: StepContext,
  state: RunState,
  step: number,
  clock: Stopwatch,
): Promise<Batch> {
  const { config } = context;
  const { algorithm, trainer } = config;
  const wanted = config.data.rolloutBatchSize;
  const baselines = new Map<string, number>();
  const kept: ScoredResponse[][] = [];
  const generated: ScoredResponse[] = [];
  const invalid: InvalidResponse[] = [];
  const unscored: PromptGroup[] = [];
  let { gate } = state;
  const take = (scoring: Scoring): Scoring => {
    for (const { name, problem } of scoring.invalid) {
      context.reporter.note(`skipped ${name}: ${problem}`);
    }
    ({ gate } = scoring);
    invalid.push(...scoring.invalid);
    return scoring;
  };
  for (let round = 1; ; round++) {
    const { prompts, cursor, skipped } = await clock.time('data', () => nextPrompts(context));
    await clock.time('gen', async () => {
      const groups = await answer(context, prompts, step, round);
      if (algorithm.advEstimator === 'remax') {
        take(await addBaselines(context, groups, gate, baselines));
      }
      if (algorithm.onlineFiltering) {
        const { scored } = take(await score(context, groups, gate));
        generated.push(...scored);
        kept.push(...groupsToKeep(withBaseline(scored, baselines, algorithm), algorithm));
      } else {
        unscored.push(...groups);
      }
    });
    const size = algorithm.onlineFiltering ? kept.length : unscored.length;
    if (size >= wanted) {
      if (algorithm.onlineFiltering) {
        const scored = kept.slice(0, wanted).flat();
        return { scored, generated, invalid, baselines, cursor, skipped, gate };
      }
      const scoring = await clock.time('reward', () =>
        score(context, unscored.slice(0, wanted), gate),
      );
      const comparable = withAdvantage(take(scoring), algorithm.advEstimator);
      const scored = withBaseline(comparable, baselines, algorithm);
      return { scored, generated: scoring.scored, invalid, baselines, cursor, skipped, gate };
    }
    const limit = trainer.maxTryMakeBatch;
    if (limit > 0 && round >= limit) {
      throw new CxmindError(
        'DATA_INVALID',
        `step ${step} has ${size} of ${wanted} prompts after ${round} rounds of generation` +
          (algorithm.onlineFiltering ? `, of ${prompts.length} prompts each` : '') +
          '; raise trainer.max_try_make_batch' +
          (algorithm.onlineFiltering
            ? `, or widen algorithm.filter_low and filter_high (${algorithm.filterLow} to ` +
              `${algorithm.filterHigh}): the prompts are too easy or too hard for this policy`
            : ''),
        { detail: { step, rounds: round, prompts: size } },
      );
    }
  }
}

function nextPrompts({
  cast,
  signal,
}: StepContext): Promise<{ prompts: Prompt[]; cursor: PromptCursor; skipped: number }> {
  return cast.data.ask.nextPrompts(undefined, { timeoutMs: TIMEOUT_MS, signal });
}

/** The responses of a round; its groups have ids that no other round's have, though prompts may come again. */
async function answer(
  { cast, config, reporter, weights, signal }: StepContext,
  prompts: readonly Prompt[],
  step: number,
  round: number,
): Promise<PromptGroup[]> {
  const stream = ['rollout', config.trainer.seed, step];
  const groups = await generateGroups(
    cast.rollouts,
    prompts,
    {
      sampling: config.worker.rollout,
      maxTokens: config.data.maxResponseLength,
      stream: round === 1 ? stream : [...stream, round],
      policyVersion: weights.version,
      signal,
    },
    reporter,
  );
  return groups.map((group) => ({ ...group, id: `${round}/${group.id}` }));
}

/** Answers a round's prompts greedily and keeps the rewards, for ReMax. */
async function addBaselines(
  context: StepContext,
  groups: readonly PromptGroup[],
  gate: GateState,
  baselines: Map<string, number>,
): Promise<Scoring> {
  const { cast, config, reporter, weights, signal } = context;
  const greedy = await generateGroups(
    cast.rollouts,
    groups.map(({ prompt }) => prompt),
    {
      sampling: { ...config.worker.rollout, n: 1, temperature: 0 },
      maxTokens: config.data.maxResponseLength,
      stream: ['greedy'],
      policyVersion: weights.version,
      signal,
    },
    reporter,
  );
  const named = greedy.map((group, i) => ({ ...group, id: groups[i]!.id }));
  const scoring = await score(context, named, gate);
  for (const { group, parts } of scoring.scored) baselines.set(group.id, parts['overall']!);
  return scoring;
}

/** For ReMax the responses to prompts whose greedy response could be scored; else all. */
function withBaseline(
  scored: readonly ScoredResponse[],
  baselines: ReadonlyMap<string, number>,
  { advEstimator }: Config['algorithm'],
): readonly ScoredResponse[] {
  return advEstimator === 'remax' ? scored.filter(({ group }) => baselines.has(group.id)) : scored;
}

function score(
  { cast, gate: spec, signal }: StepContext,
  groups: readonly PromptGroup[],
  state: GateState,
): Promise<Scoring> {
  return scoreGroups(cast.rewards, groups, { spec, state }, signal);
}

/**
 * The groups that still teach something, their responses together.
 *
 * @throws CONFIG_INVALID when the reward does not give the part that decides
 */
function groupsToKeep(
  scored: readonly ScoredResponse[],
  { advEstimator, filterKey, filterLow, filterHigh }: Config['algorithm'],
): ScoredResponse[][] {
  const values = scored.map(({ parts }) => {
    const value = parts[filterKey];
    if (value !== undefined) return value;
    throw new CxmindError(
      'CONFIG_INVALID',
      `algorithm.filter_key: the reward has no part "${filterKey}", only ${Object.keys(parts).join(', ')}`,
    );
  });
  const ids = scored.map(({ group }) => group.id);
  const groups = new Map<string, ScoredResponse[]>();
  for (const row of rowsToKeep(values, ids, { low: filterLow, high: filterHigh })) {
    const group = groups.get(ids[row]!);
    if (group === undefined) groups.set(ids[row]!, [scored[row]!]);
    else group.push(scored[row]!);
  }
  const smallest = comparesResponses(advEstimator) ? 2 : 1;
  return [...groups.values()].filter((group) => group.length >= smallest);
}

import { rowsToKeep } from '../../src/algorithms/filter.ts';
import type { Config } from '../../src/config/schema.ts';
import { CxmindError } from '../../src/errors.ts';
import { warnOfData } from './data-report.ts';
import { generateGroups } from './rollout-phase.ts';
import {
  comparesResponses,
  withAdvantage,
  type InvalidResponse,
  type ScoredResponse,
} from './scoring-phase.ts';
import type { RunState, StepContext } from './context.ts';
import type { Stopwatch } from './stopwatch.ts';
import {
  scoreTasks,
  type Task,
  type TaskGroup,
  type TaskPrompts,
  type TaskState,
} from './tasks.ts';

/** The responses that a step trains on. */
export interface Batch {
  /** In the order of their groups; `rollout.n` of each prompt, less those that could not be scored. */
  readonly scored: readonly ScoredResponse[];
  /** By task, every response that was scored on the way, those of groups that were dropped too. */
  readonly generated: readonly (readonly ScoredResponse[])[];
  /** Responses that could not be scored, where that does not end the run. */
  readonly invalid: readonly InvalidResponse[];
  /** The reward of the greedy response to each group's prompt, by the group's id; empty but for `remax`. */
  readonly baselines: ReadonlyMap<string, number>;
  /** Where each task stands after it, the run's own first. */
  readonly states: readonly TaskState[];
  /** Rows of the data sets that were left out so far, for being invalid. */
  readonly skipped: number;
}

/**
 * Round after round of prompts and responses until a step's are together; what is over is left for nobody.
 *
 * With `algorithm.online_filtering` each round is scored at once, which its batch gate sees as a call of its own, and
 * only groups with a mean of `filter_key` between the bounds count; a round may keep none. Otherwise all are scored
 * when they are together.
 *
 * @returns one response at least
 * @throws DATA_INVALID when `trainer.max_try_make_batch` rounds are not enough; REWARD_INVALID when no response can be
 *   trained on
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
  const tasks = tasksOf(context);
  const baselines = new Map<string, number>();
  const kept: ScoredResponse[][] = [];
  const generated: ScoredResponse[][] = tasks.map(() => []);
  const invalid: InvalidResponse[] = [];
  const unscored: TaskGroup[] = [];
  let gates = [state.gate, ...state.replay.map(({ gate }) => gate)];
  const score = async (groups: readonly TaskGroup[]): Promise<ScoredResponse[][]> => {
    const scorings = await scoreTasks(tasks, groups, gates, context.signal);
    gates = scorings.map(({ gate }) => gate);
    for (const { name, problem } of scorings.flatMap((scoring) => scoring.invalid)) {
      context.reporter.note(`skipped ${name}: ${problem}`);
      invalid.push({ name, problem });
    }
    return scorings.map(({ scored }) => [...scored]);
  };
  for (let round = 1; ; round++) {
    const next = await clock.time('data', () => context.feed.next(tasks, context.signal));
    const { prompts, skipped, notes } = next;
    warnOfData(notes, context.reporter);
    await clock.time('gen', async () => {
      const groups = await answer(context, tasks, next, step, round);
      if (algorithm.advEstimator === 'remax') {
        for (const { group, parts } of (
          await score(await answerGreedily(context, groups))
        ).flat()) {
          baselines.set(group.id, parts['overall']!);
        }
      }
      if (algorithm.onlineFiltering) {
        for (const [task, scored] of (await score(groups)).entries()) {
          generated[task]!.push(...scored);
          kept.push(...groupsToKeep(withBaseline(scored, baselines, algorithm), algorithm));
        }
      } else {
        unscored.push(...groups);
      }
    });
    const size = algorithm.onlineFiltering ? kept.length : unscored.length;
    if (size >= wanted) {
      const states = (): TaskState[] =>
        next.cursors.map((cursor, task) => ({ cursor, gate: gates[task]! }));
      if (algorithm.onlineFiltering) {
        const scored = kept.slice(0, wanted).flat();
        return { scored, generated, invalid, baselines, states: states(), skipped };
      }
      const all = await clock.time('reward', () => score(unscored.slice(0, wanted)));
      const comparable = withAdvantage({ scored: all.flat(), invalid }, algorithm.advEstimator);
      const scored = withBaseline(comparable, baselines, algorithm);
      if (scored.length === 0) {
        throw new CxmindError(
          'REWARD_INVALID',
          `${comparable.length} responses could be scored, but of no prompt both a response and the greedy one, ` +
            `which algorithm.adv_estimator=remax compares it with`,
        );
      }
      return { scored, generated: all, invalid, baselines, states: states(), skipped };
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

/** The run's own task first, then those of earlier stages. */
function tasksOf({ cast, gate, replays }: StepContext): Task[] {
  return [{ name: null, data: cast.data, rewards: cast.rewards, gate }, ...replays];
}

/** The responses of a round; its groups have ids that no other round's have, though prompts may come again. */
async function answer(
  { cast, config, reporter, weights, signal }: StepContext,
  tasks: readonly Task[],
  { prompts, taskOf }: TaskPrompts,
  step: number,
  round: number,
): Promise<TaskGroup[]> {
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
  return groups.map((group, i) => {
    const task = taskOf[i]!;
    const { name } = tasks[task]!;
    return { ...group, task, id: [round, ...(name === null ? [] : [name]), group.id].join('/') };
  });
}

/** The greedy response to each prompt of a round, whose reward is ReMax's baseline. */
async function answerGreedily(
  { cast, config, reporter, weights, signal }: StepContext,
  groups: readonly TaskGroup[],
): Promise<TaskGroup[]> {
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
  return greedy.map((group, i) => ({ ...group, id: groups[i]!.id, task: groups[i]!.task }));
}

/** For ReMax the responses to prompts whose greedy response could be scored; else all. */
function withBaseline(
  scored: readonly ScoredResponse[],
  baselines: ReadonlyMap<string, number>,
  { advEstimator }: Config['algorithm'],
): readonly ScoredResponse[] {
  return advEstimator === 'remax' ? scored.filter(({ group }) => baselines.has(group.id)) : scored;
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

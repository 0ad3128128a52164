import { advantageEstimators } from '../../src/algorithms/advantage.ts';
import { rowsToKeep } from '../../src/algorithms/filter.ts';
import type { Algorithm } from '../../src/config/schema.ts';
import type { Sampling } from '../../src/config/worker-schema.ts';
import { CxmindError } from '../../src/errors.ts';
import type { RunState, TaskState } from '../run-folder/checkpoints.ts';
import type { StepContext } from './context.ts';
import { warnOfData } from './reporter.ts';
import type { StepPlan } from './plan.ts';
import type { Task, TaskPrompts } from './prompt-feed.ts';
import { generateGroups, type PromptGroup, type RolloutRequest } from './sample.ts';
import { scoreGroups, withAdvantage, type InvalidResponse, type ScoredResponse } from './score.ts';
import type { Stopwatch } from './timeline.ts';

/** The responses that a step trains on. */
export interface Batch {
  /** `n` responses to each prompt, group by group, less those that could not be scored. */
  readonly scored: readonly ScoredResponse[];
  /** All responses that were scored, by task; those of groups that were dropped too. */
  readonly generated: readonly (readonly ScoredResponse[])[];
  /** Responses that could not be scored, where that does not end the run. */
  readonly invalid: readonly InvalidResponse[];
  /** Reward of the greedy response to a group's prompt, by the group's id; empty unless the estimator is `remax`. */
  readonly baselines: ReadonlyMap<string, number>;
  /** The place in the data and the gates after the batch. */
  readonly progress: Pick<RunState, 'cursor' | 'gate' | 'replay'>;
  /** Rows of the data sets that were left out so far because they are invalid. */
  readonly skipped: number;
}

/** A group with the index of its task. */
interface TaskGroup extends PromptGroup {
  readonly task: number;
}

/**
 * Samples and scores the responses of a step.
 *
 * Rounds of prompts are answered until there are enough groups; groups beyond that are dropped. With
 * `algorithm.online_filtering` (DAPO, arXiv:2503.14476, section 3.2) each round is scored at once, and only groups
 * count whose mean of `filter_key` lies between the bounds. Without it all groups are scored together after the last
 * round. Each scoring asks the batch gate of a reward once.
 *
 * @returns at least one response
 * @throws DATA_INVALID when `trainer.max_try_make_batch` rounds are not enough; REWARD_INVALID when no response can be
 *   trained on
 */
export async function makeBatch(
  context: StepContext,
  state: RunState,
  step: number,
  clock: Stopwatch,
): Promise<Batch> {
  const { algorithm, prompts: wanted } = context.plan.step;
  const { onlineFiltering, advEstimator } = algorithm;
  const tasks = new StepTasks(context, state);
  const baselines = new Map<string, number>();
  const unscored: TaskGroup[] = [];
  const kept: ScoredResponse[][] = [];
  let generated: ScoredResponse[][] = tasks.all.map(() => []);
  for (let round = 1; ; round++) {
    const next = await clock.time('data', () => tasks.next());
    await clock.time('gen', async () => {
      const groups = await answer(context, tasks.all, next, step, round);
      if (advEstimator === 'remax') {
        const greedy = await tasks.score(await answerGreedily(context, groups));
        for (const { group, parts } of greedy.flat()) baselines.set(group.id, parts['overall']!);
      }
      if (!onlineFiltering) {
        unscored.push(...groups);
        return;
      }
      for (const [task, scored] of (await tasks.score(groups)).entries()) {
        generated[task]!.push(...scored);
        kept.push(...groupsToKeep(withBaseline(scored, baselines, algorithm), algorithm));
      }
    });
    const size = (onlineFiltering ? kept : unscored).length;
    if (size >= wanted) break;
    checkRounds(context.plan.step, { step, round, size, prompts: next.prompts.length });
  }

  let scored: readonly ScoredResponse[] = kept.slice(0, wanted).flat();
  if (!onlineFiltering) {
    generated = await clock.time('reward', () => tasks.score(unscored.slice(0, wanted)));
    scored = trainable(generated.flat(), tasks.invalid, baselines, algorithm);
  }
  const { invalid, progress, skipped } = tasks;
  return { scored, generated, invalid, baselines, progress, skipped };
}

/** The tasks of a run in one step: prompts of all of them, and scores by the reward and the gate of each. */
class StepTasks {
  /** The run's own task first, then those of earlier stages. */
  readonly all: readonly Task[];
  /** Responses that could not be scored so far. */
  readonly invalid: InvalidResponse[] = [];
  /** Rows that were left out so far because they are invalid. */
  skipped = 0;
  readonly #context: StepContext;
  #states: readonly TaskState[];

  constructor(context: StepContext, { cursor, gate, replay }: RunState) {
    this.all = [context.actors.task, ...context.actors.replays];
    this.#context = context;
    this.#states = [{ cursor, gate }, ...replay];
  }

  /** The place in the data and the gates, as they are now. */
  get progress(): Batch['progress'] {
    const [own, ...replay] = this.#states;
    return { ...own!, replay };
  }

  /** Takes the next round of prompts. */
  async next(): Promise<TaskPrompts> {
    const { feed, reporter, signal } = this.#context;
    const next = await feed.next(this.all, signal);
    warnOfData(next.notes, reporter);
    this.skipped = next.skipped;
    this.#states = this.#states.map((state, i) => ({ ...state, cursor: next.cursors[i]! }));
    return next;
  }

  /** Scores groups; returns the responses that have a score, by task. */
  async score(groups: readonly TaskGroup[]): Promise<ScoredResponse[][]> {
    const { reporter, signal } = this.#context;
    const scorings = await Promise.all(
      this.all.map(async ({ rewards, gate: spec }, task) => {
        const own = groups.filter((group) => group.task === task);
        const state = this.#states[task]!.gate;
        if (own.length === 0) return { scored: [], invalid: [], gate: state };
        return await scoreGroups(rewards, own, { spec, state }, signal);
      }),
    );
    this.#states = this.#states.map((state, i) => ({ ...state, gate: scorings[i]!.gate }));
    for (const { name, problem } of scorings.flatMap(({ invalid }) => invalid)) {
      reporter.note(`skipped ${name}: ${problem}`);
      this.invalid.push({ name, problem });
    }
    return scorings.map(({ scored }) => [...scored]);
  }
}

/** Throws once a step has taken as many rounds as it may. */
function checkRounds(
  { algorithm, prompts: wanted, maxRounds }: StepPlan,
  at: {
    readonly step: number;
    readonly round: number;
    /** Groups so far. */
    readonly size: number;
    /** Prompts of a round. */
    readonly prompts: number;
  },
): void {
  const { step, round, size, prompts } = at;
  if (maxRounds <= 0 || round < maxRounds) return;
  const { onlineFiltering, filterLow, filterHigh } = algorithm;
  throw new CxmindError(
    'DATA_INVALID',
    `step ${step} has ${size} of ${wanted} prompts after ${round} rounds of generation` +
      (onlineFiltering ? `, of ${prompts} prompts each` : '') +
      '; raise trainer.max_try_make_batch' +
      (onlineFiltering
        ? `, or widen algorithm.filter_low and filter_high (${filterLow} to ` +
          `${filterHigh}): the prompts are too easy or too hard for this policy`
        : ''),
    { detail: { step, rounds: round, prompts: size } },
  );
}

/** Samples `n` responses to each prompt of a round. A group's id is unique in the step, though prompts may repeat. */
async function answer(
  context: StepContext,
  tasks: readonly Task[],
  { prompts, taskOf }: TaskPrompts,
  step: number,
  round: number,
): Promise<TaskGroup[]> {
  const { sampling, seed } = context.plan.step;
  const stream = ['rollout', seed, step, ...(round === 1 ? [] : [round])];
  const request = rolloutRequest(context, sampling, stream);
  const { rollouts } = context.actors;
  const groups = await generateGroups(rollouts, prompts, request, context.reporter);
  return groups.map((group, i) => {
    const task = taskOf[i]!;
    const { name } = tasks[task]!;
    return { ...group, task, id: [round, ...(name === null ? [] : [name]), group.id].join('/') };
  });
}

/** Decodes the greedy response to each prompt of a round, whose reward is the baseline of ReMax. */
async function answerGreedily(
  context: StepContext,
  groups: readonly TaskGroup[],
): Promise<TaskGroup[]> {
  const sampling = { ...context.plan.step.sampling, n: 1, temperature: 0 };
  const request = rolloutRequest(context, sampling, ['greedy']);
  const prompts = groups.map(({ prompt }) => prompt);
  const { rollouts } = context.actors;
  const greedy = await generateGroups(rollouts, prompts, request, context.reporter);
  return greedy.map((group, i) => ({ ...group, id: groups[i]!.id, task: groups[i]!.task }));
}

function rolloutRequest(
  { plan, weights, signal }: StepContext,
  sampling: Sampling,
  stream: RolloutRequest['stream'],
): RolloutRequest {
  const maxTokens = plan.step.maxResponseLength;
  return { sampling, maxTokens, stream, policyVersion: weights.version, signal };
}

/**
 * The responses that have an advantage.
 *
 * @throws REWARD_INVALID when there are none
 */
function trainable(
  scored: readonly ScoredResponse[],
  invalid: readonly InvalidResponse[],
  baselines: ReadonlyMap<string, number>,
  algorithm: Algorithm,
): readonly ScoredResponse[] {
  const comparable = withAdvantage({ scored, invalid }, algorithm.advEstimator);
  const left = withBaseline(comparable, baselines, algorithm);
  if (left.length > 0) return left;
  throw new CxmindError(
    'REWARD_INVALID',
    `${comparable.length} responses could be scored, but of no prompt both a response and the greedy one, ` +
      `which algorithm.adv_estimator=remax compares it with`,
  );
}

/** The responses that have a baseline, which only ReMax wants: the greedy response to their prompt could be scored. */
function withBaseline(
  scored: readonly ScoredResponse[],
  baselines: ReadonlyMap<string, number>,
  { advEstimator }: Algorithm,
): readonly ScoredResponse[] {
  return advEstimator === 'remax' ? scored.filter(({ group }) => baselines.has(group.id)) : scored;
}

/**
 * The groups that still teach something, each with its responses together.
 *
 * @throws CONFIG_INVALID when the reward does not give the part that decides
 */
function groupsToKeep(
  scored: readonly ScoredResponse[],
  { advEstimator, filterKey, filterLow, filterHigh }: Algorithm,
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
  const rows = rowsToKeep(values, ids, { low: filterLow, high: filterHigh });
  const groups = Map.groupBy(rows, (row) => ids[row]!);
  const smallest = advantageEstimators[advEstimator].comparesResponses ? 2 : 1;
  return [...groups.values()]
    .filter(({ length }) => length >= smallest)
    .map((group) => group.map((row) => scored[row]!));
}

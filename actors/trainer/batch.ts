/**
 * The batch of a step: prompts are answered round by round, and scored, until there are enough groups to train on.
 */
import { advantageEstimators, needsGreedy } from '../../src/algorithms/advantage.ts';
import { rowsToKeep } from '../../src/algorithms/filter.ts';
import type { Algorithm } from '../../src/config/schema.ts';
import type { PromptCursor } from '../../src/data/prompt-source.ts';
import { CxmindError } from '../../src/errors.ts';
import { sumMetrics, type Metrics } from '../../src/metrics.ts';
import type { GateState } from '../../src/reward/gate.ts';
import type { RunState } from '../run-folder/checkpoints.ts';
import type { Prompt, Sequence } from '../messages.ts';
import type { StepContext } from './context.ts';
import { warnOfData } from './report/reporter.ts';
import type { StepPlan } from './plan.ts';
import type { Task, TaskPrompts } from './prompt-feed.ts';
import { generateGroups, type PromptGroup, type RolloutRequest } from './sample.ts';
import {
  noScores,
  scoreGroups,
  withAdvantage,
  type InvalidResponse,
  type ScoredResponse,
} from './score.ts';
import type { Stopwatch } from './report/timeline.ts';

/** A response with the group that it belongs to. */
export type SampledResponse = Pick<ScoredResponse, 'group' | 'response'>;

/** A response with its prompt, as models read them. */
export function sequenceOf({ group, response }: SampledResponse): Sequence {
  const media = response.episode?.media ?? null;
  return { prompt: group.prompt.input, response: response.tokenIds, media };
}

/** The sampled responses of a step, which may still have to be scored. */
export interface SampledBatch {
  /** `n` responses to each prompt, group by group. Where groups are filtered by scores, those that were kept. */
  readonly responses: readonly SampledResponse[];
  /**
   * Scores them; called once.
   *
   * @returns at least one response
   * @throws REWARD_INVALID when no response can be trained on
   */
  readonly scoreResponses: (signal: AbortSignal) => Promise<ScoredBatch>;
}

/** The responses that a step trains on. */
export interface ScoredBatch {
  /** `n` responses to each prompt, group by group, less those that could not be scored. */
  readonly scored: readonly ScoredResponse[];
  /** All responses that were scored, by task; those of groups that were dropped too. */
  readonly generated: readonly (readonly ScoredResponse[])[];
  /** Responses that could not be scored, where that does not end the run. */
  readonly invalid: readonly InvalidResponse[];
  /** Costs of all scorings, by task; the metrics of `Scoring.counts`. */
  readonly counts: readonly Metrics[];
  /** Reward of the greedy response to a group's prompt, by the group's id; empty unless the estimator needs it. */
  readonly baselines: ReadonlyMap<string, number>;
  /** The place in the data and the gates after the batch. */
  readonly taskStates: TaskStates;
  /** Rows of the data sets that were left out so far because they are invalid. */
  readonly skipped: number;
}

/** The place in its data and the gate of every task: the run's own, and under `replay` those of earlier stages. */
export type TaskStates = Pick<RunState, 'cursor' | 'gate' | 'replay'>;

/** Samples a group of `n` responses to each prompt, by the weights that a batch is sampled with. */
export type GroupSampler = (
  prompts: readonly Prompt[],
  request: Omit<RolloutRequest, 'policyVersion'>,
) => Promise<PromptGroup[]>;

interface TaskGroup extends PromptGroup {
  readonly task: number;
}

/** Responses to the prompts of one round. */
interface Round {
  readonly groups: readonly TaskGroup[];
  /** The greedy response to each prompt; none unless the estimator is `remax`. */
  readonly greedy: readonly TaskGroup[];
}

/**
 * Samples the responses of a step.
 *
 * Rounds of prompts are answered until there are enough groups; groups beyond that are dropped. With
 * `algorithm.online_filtering` (DAPO, arXiv:2503.14476, section 3.2) each round is scored at once, and only groups
 * count whose mean of `filter_key` lies between the bounds. Without it all groups are scored together by the caller,
 * who has the models evaluate them meanwhile. Each scoring asks the batch gate of a reward once; greedy responses are
 * scored before the others.
 *
 * @param before where the batch before ends; its gates are waited for once responses are to be scored
 * @param ask    samples with the newest weights where it is left out
 * @throws DATA_INVALID when `trainer.max_try_make_batch` rounds are not enough
 * @throws REWARD_INVALID when none of the step's responses could be scored
 */
export function sampleBatch(
  context: StepContext,
  before: TaskStates | Promise<TaskStates>,
  step: number,
  clock: Stopwatch,
  ask: GroupSampler = answersBy(context, context.weights.version),
): Promise<SampledBatch> {
  const tasks = new StepTasks(context, before);
  const batch = { context, tasks, step, clock, ask };
  return context.plan.step.algorithm.onlineFiltering ? filteredBatch(batch) : wholeBatch(batch);
}

/** The parts of a run that sample one batch. */
interface BatchParts {
  readonly context: StepContext;
  readonly tasks: StepTasks;
  readonly step: number;
  readonly clock: Stopwatch;
  readonly ask: GroupSampler;
}

/** The sampler by which rollouts answer with one version of the weights. */
export function answersBy({ actors, reporter }: StepContext, policyVersion: number): GroupSampler {
  return (prompts, request) =>
    generateGroups(actors.rollouts, prompts, { ...request, policyVersion }, reporter);
}

/** Samples enough groups, to be scored later. */
async function wholeBatch(batch: BatchParts): Promise<SampledBatch> {
  const { context, tasks, step, clock } = batch;
  const { algorithm, prompts: wanted } = context.plan.step;
  const rounds: Round[] = [];
  for (let size = 0; size < wanted;) {
    const round = rounds.length + 1;
    const next = await clock.time('data', () => tasks.next());
    rounds.push(await clock.time('gen', () => answer(batch, next, round)));
    size += rounds.at(-1)!.groups.length;
    checkRounds(context.plan.step, { step, round, size, prompts: next.prompts.length });
  }
  const groups = rounds
    .flatMap(({ groups }) => groups)
    .slice(0, wanted)
    .sort((one, other) => one.task - other.task);
  const scoreResponses = (signal: AbortSignal): Promise<ScoredBatch> =>
    clock.time('reward', async () => {
      const baselines = new Map<string, number>();
      for (const { greedy } of rounds) await scoreGreedy(tasks, greedy, baselines, signal);
      const generated = await tasks.score(groups, signal);
      const scored = trainable(generated.flat(), tasks.invalid, baselines, algorithm);
      return { scored, generated, baselines, ...(await tasks.outcome()) };
    });
  const responses = groups.flatMap((group) =>
    group.responses.map((response) => ({ group, response })),
  );
  return { responses, scoreResponses };
}

/** Samples and scores rounds until enough groups are left that teach something. */
async function filteredBatch(parts: BatchParts): Promise<SampledBatch> {
  const { context, tasks, step, clock } = parts;
  const { algorithm, prompts: wanted } = context.plan.step;
  const { signal } = context;
  const baselines = new Map<string, number>();
  const kept: ScoredResponse[][] = [];
  const generated: ScoredResponse[][] = tasks.all.map(() => []);
  for (let round = 1; kept.length < wanted; round++) {
    const next = await clock.time('data', () => tasks.next());
    await clock.time('gen', async () => {
      const { groups, greedy } = await answer(parts, next, round);
      await scoreGreedy(tasks, greedy, baselines, signal);
      for (const [task, scored] of (await tasks.score(groups, signal)).entries()) {
        generated[task]!.push(...scored);
        kept.push(...groupsToKeep(withBaseline(scored, baselines, algorithm), algorithm));
      }
    });
    const size = kept.length;
    // Where any number of rounds may be taken, one without a score is too many.
    const isOver = round >= context.plan.step.maxRounds && tasks.invalid.length > 0;
    if (isOver && generated.every((ofTask) => ofTask.length === 0)) throw noScores(tasks.invalid);
    checkRounds(context.plan.step, { step, round, size, prompts: next.prompts.length });
  }
  const scored = kept.slice(0, wanted).flat();
  const batch = { scored, generated, baselines, ...(await tasks.outcome()) };
  return { responses: scored, scoreResponses: () => Promise.resolve(batch) };
}

/** Scores the greedy responses of a round, and notes their rewards by group. */
async function scoreGreedy(
  tasks: StepTasks,
  greedy: readonly TaskGroup[],
  baselines: Map<string, number>,
  signal: AbortSignal,
): Promise<void> {
  if (greedy.length === 0) return;
  const scored = await tasks.score(greedy, signal);
  for (const { group, parts } of scored.flat()) baselines.set(group.id, parts['overall']!);
}

/** The tasks of a run in one step: prompts of all of them, and scores by the reward and the gate of each. */
class StepTasks {
  /** The run's own task first, then those of earlier stages. */
  readonly all: readonly Task[];
  /** Responses that could not be scored so far. */
  readonly invalid: InvalidResponse[] = [];
  #counts: readonly Metrics[];
  readonly #context: StepContext;
  #skipped = 0;
  #cursors: readonly PromptCursor[] = [];
  #gates: Promise<readonly GateState[]>;

  /** @param before where the batch before ends */
  constructor(context: StepContext, before: TaskStates | Promise<TaskStates>) {
    this.all = [context.actors.task, ...context.actors.replays];
    this.#counts = this.all.map(() => ({}));
    this.#context = context;
    this.#gates = Promise.resolve(before).then(({ gate, replay }) => [
      gate,
      ...replay.map((task) => task.gate),
    ]);
    // A failure is the other batch's, unless this one comes to scoring.
    this.#gates.catch(() => undefined);
  }

  /** The states of the tasks after the last round, and the responses and rows that were left out. */
  async outcome(): Promise<Pick<ScoredBatch, 'invalid' | 'counts' | 'taskStates' | 'skipped'>> {
    const gates = await this.#gates;
    const [own, ...replay] = this.#cursors.map((cursor, i) => ({ cursor, gate: gates[i]! }));
    return {
      ...{ invalid: this.invalid, counts: this.#counts, skipped: this.#skipped },
      taskStates: { ...own!, replay },
    };
  }

  /** Takes the next round of prompts. */
  async next(): Promise<TaskPrompts> {
    const { feed, reporter, signal } = this.#context;
    const next = await feed.next(this.all, signal);
    warnOfData(next.notes, reporter);
    this.#skipped = next.skipped;
    this.#cursors = next.cursors;
    return next;
  }

  /** Scores groups; returns the responses that have a score, by task. */
  async score(groups: readonly TaskGroup[], signal: AbortSignal): Promise<ScoredResponse[][]> {
    const { reporter } = this.#context;
    const gates = await this.#gates;
    const scorings = await Promise.all(
      this.all.map(async ({ rewards }, task) => {
        const own = groups.filter((group) => group.task === task);
        const state = gates[task]!;
        if (own.length === 0) return { scored: [], invalid: [], gate: state, counts: {} };
        return await scoreGroups(rewards, own, state, signal);
      }),
    );
    this.#gates = Promise.resolve(scorings.map(({ gate }) => gate));
    this.#counts = this.#counts.map((before, i) => sumMetrics([before, scorings[i]!.counts]));
    for (const { name, problem } of scorings.flatMap(({ invalid }) => invalid)) {
      reporter.note(`skipped ${name}: ${problem}`);
      this.invalid.push({ name, problem });
    }
    return scorings.map(({ scored }) => [...scored]);
  }
}

/** Throws once a step has taken as many rounds as it may, and lacks groups. */
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
  if (size >= wanted || maxRounds <= 0 || round < maxRounds) return;
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
  { context, tasks, step, ask }: BatchParts,
  { prompts, taskOf }: TaskPrompts,
  round: number,
): Promise<Round> {
  const { algorithm, sampling, seed, maxResponseLength: maxTokens } = context.plan.step;
  const { signal } = context;
  const stream = ['rollout', seed, step, ...(round === 1 ? [] : [round])];
  const sampled = await ask(prompts, { sampling, maxTokens, stream, signal });
  const groups = sampled.map((group, i) => {
    const task = taskOf[i]!;
    const { name } = tasks.all[task]!;
    return { ...group, task, id: [round, ...(name === null ? [] : [name]), group.id].join('/') };
  });
  if (!needsGreedy(algorithm.advEstimator)) return { groups, greedy: [] };
  const likeliest = { ...sampling, n: 1, temperature: 0 };
  const request = { sampling: likeliest, maxTokens, stream: ['greedy'], signal };
  const greedy = await ask(prompts, request);
  return {
    groups,
    greedy: greedy.map((group, i) => ({ ...group, id: groups[i]!.id, task: taskOf[i]! })),
  };
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

/** The responses that have the baseline they need: that of a greedy response is there where that has a score. */
function withBaseline(
  scored: readonly ScoredResponse[],
  baselines: ReadonlyMap<string, number>,
  { advEstimator }: Algorithm,
): readonly ScoredResponse[] {
  return needsGreedy(advEstimator) ? scored.filter(({ group }) => baselines.has(group.id)) : scored;
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
  const smallest = advantageEstimators[advEstimator].baseline === 'group' ? 2 : 1;
  return [...groups.values()]
    .filter(({ length }) => length >= smallest)
    .map((group) => group.map((row) => scored[row]!));
}

import type { PromptCursor } from '../../src/data/prompt-source.ts';
import type { GateChoice, GateState } from '../../src/reward/gate.ts';
import type { Prompt } from '../messages.ts';
import type { Cast } from './run-actors.ts';
import type { PromptGroup } from './rollout-phase.ts';
import { scoreGroups, type Scoring } from './scoring-phase.ts';

/** Where prompts come from and who scores the answers: a run's own, or an earlier stage's whose data go on. */
export interface Task {
  /** The stage's; null for the run's own. */
  readonly name: string | null;
  readonly data: Cast['data'];
  readonly rewards: Cast['rewards'];
  readonly gate: GateChoice | undefined;
}

/** Where a task's data stand, and its gate. */
export interface TaskState {
  readonly cursor: PromptCursor;
  readonly gate: GateState;
}

/** The prompts of a round, and which of the tasks each belongs to. */
export interface TaskPrompts {
  readonly prompts: readonly Prompt[];
  readonly taskOf: readonly number[];
  /** By task. */
  readonly cursors: readonly PromptCursor[];
  /** Rows that were left out so far, for being invalid. */
  readonly skipped: number;
  /** What there is to say about them, a line each. */
  readonly notes: readonly string[];
}

/** A group of one of the tasks. */
export interface TaskGroup extends PromptGroup {
  readonly task: number;
}

/** Long enough for any preparation of prompts; a lost actor is noticed at once, without it. */
const TIMEOUT_MS = 24 * 3600_000;

/**
 * The prompts of round after round, each asked for as soon as the one before it is here: when a step ends, those of the
 * next have come long ago. A checkpoint keeps where the prompts stand that were taken, not those that wait.
 */
export class PromptFeed {
  #ahead: Promise<TaskPrompts> | null = null;

  /** The next batch of each task, the same tasks each time. */
  async next(tasks: readonly Task[], signal: AbortSignal): Promise<TaskPrompts> {
    const asked = this.#ahead ?? nextPrompts(tasks, signal);
    this.#ahead = null;
    const prompts = await asked;
    this.#ahead = nextPrompts(tasks, signal);
    // What went wrong is told to who takes them, if anybody does.
    this.#ahead.catch(() => undefined);
    return prompts;
  }
}

async function nextPrompts(tasks: readonly Task[], signal: AbortSignal): Promise<TaskPrompts> {
  const ask = { timeoutMs: TIMEOUT_MS, signal };
  const batches = await Promise.all(tasks.map(({ data }) => data.ask.nextPrompts(undefined, ask)));
  return {
    prompts: batches.flatMap(({ prompts }) => prompts),
    taskOf: batches.flatMap(({ prompts }, task) => prompts.map(() => task)),
    cursors: batches.map(({ cursor }) => cursor),
    skipped: batches.reduce((sum, { skipped }) => sum + skipped, 0),
    notes: batches.flatMap(({ notes }) => notes),
  };
}

/** Scores of a round by task, each with its own reward and gate. */
export function scoreTasks(
  tasks: readonly Task[],
  groups: readonly TaskGroup[],
  gates: readonly GateState[],
  signal: AbortSignal,
): Promise<Scoring[]> {
  return Promise.all(
    tasks.map(async ({ rewards, gate: spec }, task) => {
      const own = groups.filter((group) => group.task === task);
      const state = gates[task]!;
      if (own.length === 0) return { scored: [], invalid: [], gate: state };
      return await scoreGroups(rewards, own, { spec, state }, signal);
    }),
  );
}

/** Prompts of a run and the tasks that they belong to, asked for one round ahead. */
import type { PromptCursor } from '../../src/data/prompt-source.ts';
import type { GateChoice } from '../../src/reward/gate.ts';
import type { Weighted } from '../../src/reward/mixture.ts';
import type { dataProtocol } from '../data/protocol.ts';
import type { Prompt } from '../messages.ts';
import type { rewardProtocol } from '../reward/protocol.ts';
import type { ActorRef } from '../runtime/ref.ts';
import { ANY_WORK_MS } from './patience.ts';

/** A reward of a task, and the actors that give it. */
export interface TaskReward extends Weighted {
  readonly actors: readonly ActorRef<typeof rewardProtocol>[];
  readonly gate: GateChoice | undefined;
  /** True where it looks at the pictures of prompts; false if absent. */
  readonly seesPictures?: boolean;
}

/** Prompts and the rewards of responses to them: a run's own, or those of an earlier stage that go on. */
export interface Task {
  /** The stage's name; null for the run's own. */
  readonly name: string | null;
  readonly data: ActorRef<typeof dataProtocol>;
  readonly rewards: readonly TaskReward[];
}

/** The prompts of a round, and the task that each belongs to. */
export interface TaskPrompts {
  readonly prompts: readonly Prompt[];
  /** Index of the task of each prompt. */
  readonly taskOf: readonly number[];
  /** The place after the round, by task. */
  readonly cursors: readonly PromptCursor[];
  /** Rows that were left out so far because they are invalid. */
  readonly skipped: number;
  /** Notes on the data, a line each. */
  readonly notes: readonly string[];
}

/**
 * Prompts, round after round. A round is asked for as soon as the one before it is here, so the next step's prompts
 * are ready when a step ends. A checkpoint keeps the place of the prompts that were taken, not of those that wait.
 */
export class PromptFeed {
  #ahead: Promise<TaskPrompts> | null = null;

  /** Takes the next batch of each task; the tasks are the same in every call. */
  async next(tasks: readonly Task[], signal: AbortSignal): Promise<TaskPrompts> {
    const asked = this.#ahead ?? nextPrompts(tasks, signal);
    this.#ahead = null;
    const prompts = await asked;
    this.#ahead = nextPrompts(tasks, signal);
    // A failure is reported to the call that takes these prompts, if there is one.
    this.#ahead.catch(() => undefined);
    return prompts;
  }
}

async function nextPrompts(tasks: readonly Task[], signal: AbortSignal): Promise<TaskPrompts> {
  const ask = { timeoutMs: ANY_WORK_MS, signal };
  const batches = await Promise.all(tasks.map(({ data }) => data.ask.nextPrompts(undefined, ask)));
  return {
    prompts: batches.flatMap(({ prompts }) => prompts),
    taskOf: batches.flatMap(({ prompts }, task) => prompts.map(() => task)),
    cursors: batches.map(({ cursor }) => cursor),
    skipped: batches.reduce((sum, { skipped }) => sum + skipped, 0),
    notes: batches.flatMap(({ notes }) => notes),
  };
}

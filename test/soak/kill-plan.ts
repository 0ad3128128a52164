import { keyOf, Rng } from '../../src/rng.ts';

/** Steps of a run. */
export const STEPS = 8;

/** Roles whose process is killed; the head's actors are the data actor, the trainer and the first learner. */
const victims = ['rollout', 'reward', 'reference', 'learner', 'head', 'node'] as const;
type Victim = (typeof victims)[number];

/** The processes of a run: their slots by rank, and so which actors each of them has. */
export const SLOTS = [0, 0, 2, 2] as const;

/** The ranks where actors of a kind are; `node` is any process that hosts actors for the head. */
const ranksOf: Readonly<Record<Victim, readonly number[]>> = {
  rollout: [2, 3],
  reward: [2, 3],
  reference: [2],
  learner: [1],
  head: [0],
  node: [2, 3],
};

/** The phase of a step in which actors of a kind are at work, as `timing_s/…` calls it. */
const phaseOf = {
  rollout: 'gen',
  reward: 'reward',
  reference: 'ref',
  learner: 'update_actor',
} as const;

/** Durations in a run that nobody disturbs, in milliseconds. */
export interface Pace {
  /** Time between the start of the processes and the end of the first step. */
  readonly startMs: number;
  /** Phases of a step, in order. */
  readonly phasesMs: readonly (readonly [phase: string, durationMs: number])[];
  /** Time between two checkpoints. */
  readonly stepMs: number;
}

/** A process to be killed some time after the checkpoint of a step; of step 0, after the start of the job. */
export interface Kill {
  readonly victim: Victim;
  readonly rank: number;
  readonly afterStep: number;
  readonly delayMs: number;
}

/**
 * The kills of a run: one, and in every third run a second. The seed says who and when.
 *
 * Actors are hit while they work, as far as the pace foretells it; heads and nodes at any time from their start.
 */
export function killPlan(seed: number, pace: Pace): Kill[] {
  const rng = new Rng(keyOf('kills', seed));
  const first = killOf(victims[seed % victims.length]!, rng, pace);
  if (rng.nextBelow(3) > 0) return [first];
  const second = killOf(victims[rng.nextBelow(victims.length)]!, rng, pace);
  return [first, second].sort((a, b) => a.afterStep - b.afterStep);
}

function killOf(victim: Victim, rng: Rng, pace: Pace): Kill {
  const ranks = ranksOf[victim];
  const rank = ranks[rng.nextBelow(ranks.length)]!;
  const part = rng.nextUniform();
  if (victim === 'head' || victim === 'node') {
    const afterStep = rng.nextBelow(STEPS);
    return {
      victim,
      rank,
      afterStep,
      delayMs: part * (afterStep === 0 ? pace.startMs : pace.stepMs),
    };
  }
  const afterStep = 1 + rng.nextBelow(STEPS - 1);
  const phase = pace.phasesMs.findIndex(([name]) => name === phaseOf[victim]);
  const before = pace.phasesMs.slice(0, phase).reduce((sum, [, ms]) => sum + ms, 0);
  return { victim, rank, afterStep, delayMs: before + part * pace.phasesMs[phase]![1] };
}

/** Functions of a step's number: learning rates, the version of the weights, and whether something is due. */
import { lrFactor, warmupSteps } from '../../src/algorithms/schedule.ts';
import type { Sft } from '../../src/config/schema.ts';
import type { StepPlan } from './plan.ts';

/** Number of a step, and of all steps of the run; both count from 1. */
export interface StepCounter {
  readonly step: number;
  readonly steps: number;
}

/**
 * The policy's learning rate in a step. The schedule moves with the policy's updates, so it starts once the critic has
 * warmed up.
 */
export function policyRate(
  { policy, criticWarmup }: StepPlan,
  { step, steps }: StepCounter,
): number {
  return rateAt(policy.optim, step - Math.max(1, criticWarmup), steps);
}

/**
 * The version of the policy's weights after a step: 1, and one more for each update so far. While the critic warms up,
 * the policy has none.
 */
export function versionAfter(
  { criticWarmup }: Pick<StepPlan, 'criticWarmup'>,
  step: number,
): number {
  return 1 + Math.max(0, step - Math.max(0, criticWarmup - 1));
}

/** The critic's learning rate in a step and in the next one. EasyR1 logs the next one, and so does a run here. */
export function criticRates(
  { critic: { optim } }: StepPlan,
  { step, steps }: StepCounter,
): { readonly now: number; readonly next: number } {
  return { now: rateAt(optim, step - 1, steps), next: rateAt(optim, step, steps) };
}

/** The learning rate in a step of supervised fine-tuning: it rises over the warm-up, then stays. */
export function supervisedRate(
  sft: Pick<Sft, 'lr' | 'lrWarmupSteps'>,
  { step, steps }: StepCounter,
): number {
  const schedule = { warmup: sft.lrWarmupSteps, total: steps, minRatio: 0 };
  return sft.lr * lrFactor('constant', step - 1, schedule);
}

/** @param moved how often the schedule has moved */
function rateAt(optim: StepPlan['policy']['optim'], moved: number, steps: number): number {
  const { lr, lrSchedulerType, minLrRatio, lrWarmupSteps, lrWarmupRatio } = optim;
  const warmup = warmupSteps(steps, { lrWarmupSteps, lrWarmupRatio });
  const options = { warmup, total: steps, minRatio: minLrRatio ?? 0 };
  return lr * lrFactor(lrSchedulerType, moved, options);
}

/** True after every `frequency` steps; never where that is not positive. */
export function isDue(frequency: number, step: number): boolean {
  return frequency > 0 && step % frequency === 0;
}

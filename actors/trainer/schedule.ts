import { lrFactor, warmupSteps } from '../../src/optim/schedule.ts';
import type { Sft } from '../../src/config/schema.ts';
import type { StepPlan } from './plan.ts';

/** A step of a run of so many; both count from 1. */
export interface StepNumber {
  readonly step: number;
  readonly steps: number;
}

/**
 * The policy's rate in a step. Its schedule moves with the steps that update it: while the critic warms up it stands
 * where it begins.
 */
export function policyRate(
  { policy, criticWarmup }: StepPlan,
  { step, steps }: StepNumber,
): number {
  return rateAt(policy.optim, step - Math.max(1, criticWarmup), steps);
}

/** The critic's rate in a step, and the one after it, which is the one that is logged, as in the reference. */
export function criticRates(
  { critic: { optim } }: StepPlan,
  { step, steps }: StepNumber,
): { readonly now: number; readonly next: number } {
  return { now: rateAt(optim, step - 1, steps), next: rateAt(optim, step, steps) };
}

/** The rate in a step of supervised training: it rises over the warm-up, and stays. */
export function imitationRate(
  sft: Pick<Sft, 'lr' | 'lrWarmupSteps'>,
  { step, steps }: StepNumber,
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

/** Whether what is done every `frequency` steps, or never where that is not positive, is done after this one. */
export function isDue(frequency: number, step: number): boolean {
  return frequency > 0 && step % frequency === 0;
}

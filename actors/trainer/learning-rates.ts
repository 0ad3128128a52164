import type { Config } from '../../src/config/schema.ts';
import { lrFactor, warmupSteps } from '../../src/optim/schedule.ts';

/** A step of a run of so many; both count from 1. */
export interface StepNumber {
  readonly step: number;
  readonly steps: number;
}

/**
 * The policy's rate in a step. Its schedule moves with the steps that update it: while the critic warms up it stands
 * where it begins.
 */
export function policyRate({ worker, trainer }: Config, { step, steps }: StepNumber): number {
  return rateAt(worker.actor.optim, step - Math.max(1, trainer.criticWarmup), steps);
}

/** The critic's rate in a step, and the one after it, which is the one that is logged, as in the reference. */
export function criticRates(
  { worker }: Config,
  { step, steps }: StepNumber,
): { readonly now: number; readonly next: number } {
  const { optim } = worker.critic;
  return { now: rateAt(optim, step - 1, steps), next: rateAt(optim, step, steps) };
}

/** The rate in a step of supervised training: it rises over the warm-up, and stays. */
export function imitationRate({ sft }: Pick<Config, 'sft'>, { step, steps }: StepNumber): number {
  const schedule = { warmup: sft.lrWarmupSteps, total: steps, minRatio: 0 };
  return sft.lr * lrFactor('constant', step - 1, schedule);
}

/** @param moved how often the schedule has moved */
function rateAt(optim: Config['worker']['actor']['optim'], moved: number, steps: number): number {
  const { lr, lrSchedulerType, minLrRatio, lrWarmupSteps, lrWarmupRatio } = optim;
  const warmup = warmupSteps(steps, { lrWarmupSteps, lrWarmupRatio });
  const options = { warmup, total: steps, minRatio: minLrRatio ?? 0 };
  return lr * lrFactor(lrSchedulerType, moved, options);
}

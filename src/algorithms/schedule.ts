/** Learning-rate schedules of EasyR1: a linear warm-up, then a constant or half a cosine. */

/** The length of a schedule, in training steps. */
export interface LrScheduleOptions {
  /** Steps of linear rise from 0. */
  readonly warmup: number;
  /** Steps of the whole run; the cosine reaches its floor at the last. */
  readonly total: number;
  /** Floor of the cosine, as a share of the full rate. */
  readonly minRatio: number;
}

/** Learning-rate schedules after the warm-up by their config name (`worker.actor.optim.lr_scheduler_type`). */
export const lrSchedules = {
  constant: () => 1,
  /** Half a cosine from 1 to the floor. */
  cosine: (step, { warmup, total, minRatio }) => {
    const progress = (step - warmup) / Math.max(1, total - warmup);
    const wave = ((1 - minRatio) / 2) * Math.cos(Math.PI * progress);
    return Math.max(minRatio, wave + (1 + minRatio) / 2);
  },
} as const satisfies Record<string, (step: number, options: LrScheduleOptions) => number>;

/** Config name of a schedule. */
export type LrScheduleKind = keyof typeof lrSchedules;

/**
 * Factor on the learning rate at a training step: a linear rise over the warm-up, then 1, or half a cosine from 1 to
 * `minRatio`.
 *
 * The schedule moves once a training step, however many optimizer steps that takes. Past `total` the cosine continues
 * and rises again, as in EasyR1.
 *
 * @param step from 0
 * @see EasyR1's newer schedules: unlike CX-Mind's, a constant rate without warm-up starts at 1, not 0
 */
export function lrFactor(kind: LrScheduleKind, step: number, options: LrScheduleOptions): number {
  const { warmup } = options;
  return step < warmup ? step / Math.max(1, warmup) : lrSchedules[kind](step, options);
}

/** Warm-up in training steps: the given number, or else a share of the run, rounded down. */
export function warmupSteps(
  trainingSteps: number,
  options: {
    readonly lrWarmupSteps?: number | null | undefined;
    readonly lrWarmupRatio: number;
  },
): number {
  return options.lrWarmupSteps ?? Math.trunc(options.lrWarmupRatio * trainingSteps);
}

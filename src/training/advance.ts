/** When a stage has taught enough: once the running mean of a metric reaches a threshold. */
export interface AdvanceRule {
  readonly metric: string;
  /** The running mean has to come up to this; null where it has to come down to `below`. */
  readonly above: number | null;
  readonly below: number | null;
  /** Weight of a new value in the running mean, in (0, 1]. */
  readonly emaAlpha: number;
  /** Steps to take in any case. */
  readonly minSteps: number;
}

/** The running mean of the metric; null before its first value. Plain data: a checkpoint keeps it. */
export interface AdvanceState {
  readonly ema: number | null;
}

export const initialAdvanceState: AdvanceState = { ema: null };

/** The running mean after a step, which may not have the metric: a validation is not made at each. */
export function observe(
  { ema }: AdvanceState,
  metrics: Readonly<Record<string, number>>,
  { metric, emaAlpha }: AdvanceRule,
): AdvanceState {
  const value = metrics[metric];
  if (value === undefined || !Number.isFinite(value)) return { ema };
  return { ema: ema === null ? value : ema + emaAlpha * (value - ema) };
}

/** Whether `step` steps were enough. */
export function hasAdvanced(
  { ema }: AdvanceState,
  step: number,
  { above, below, minSteps }: AdvanceRule,
): boolean {
  if (ema === null || step < minSteps) return false;
  return (above !== null && ema >= above) || (below !== null && ema <= below);
}

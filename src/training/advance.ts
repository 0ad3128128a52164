/**
 * The rule by which a metric ends a stage of a curriculum: its running mean, and the threshold that this has to
 * reach.
 */

/** Condition that ends a curriculum stage: the running mean of a metric has reached a threshold. */
export interface AdvanceRule {
  readonly metric: string;
  /** Threshold that the running mean rises to; null where it falls to `below` instead. */
  readonly above: number | null;
  /** Threshold that the running mean falls to; null where it rises to `above` instead. */
  readonly below: number | null;
  /** Weight of a new value in the running mean, in (0, 1]. */
  readonly emaAlpha: number;
  /** Steps that the stage takes at least. */
  readonly minSteps: number;
}

/** The running mean of the metric, null before its first value. Plain data, which a checkpoint keeps. */
export interface AdvanceState {
  readonly ema: number | null;
}

/** The running mean as a stage begins. */
export const initialAdvanceState: AdvanceState = { ema: null };

/**
 * The running mean after a step. A step without the metric leaves it as it is: validations are not made at each.
 *
 * @param rule null for a stage that takes all of its steps
 */
export function observe(
  { ema }: AdvanceState,
  metrics: Readonly<Record<string, number>>,
  rule: AdvanceRule | null,
): AdvanceState {
  if (rule === null) return { ema };
  const value = metrics[rule.metric];
  if (value === undefined || !Number.isFinite(value)) return { ema };
  return { ema: ema === null ? value : ema + rule.emaAlpha * (value - ema) };
}

/** Tells whether the stage ends after `step` steps. */
export function hasAdvanced(
  { ema }: AdvanceState,
  step: number,
  rule: AdvanceRule | null,
): boolean {
  if (rule === null || ema === null || step < rule.minSteps) return false;
  const { above, below } = rule;
  return (above !== null && ema >= above) || (below !== null && ema <= below);
}

/**
 * Curves of metrics as numbers: values over steps, smoothed or not.
 *
 * Smoothing is TensorBoard's: an exponential moving average with the bias correction of Adam (arXiv:1412.6980, section 3),
 * which divides it by the sum of its weights so far.
 */
import type { Series } from '../../api.ts';

/** A metric of a run over its steps. Both columns have one length. */
export type Curve = Pick<Series, 'steps' | 'values' | 'isReduced'>;

/** Settings that all charts of a view share. */
export interface CurveSettings {
  /** Weight of the average so far, in [0, 1); 0 does not smooth. */
  readonly smoothing: number;
  readonly isLog: boolean;
  /** Steps in sight; null for all of them. */
  readonly range: StepRange | null;
}

/** First and last step of a range. */
export type StepRange = readonly [from: number, to: number];

/** Settings that show every step, linearly and unsmoothed. */
export const plainSettings: CurveSettings = { smoothing: 0, isLog: false, range: null };

/**
 * Debiased exponential moving average of values.
 *
 * @param weight of the average so far, in [0, 1)
 * @returns null where the value is null
 */
export function smoothed(values: readonly (number | null)[], weight: number): (number | null)[] {
  let [average, seen] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    average = weight * average + (1 - weight) * value;
    seen = weight * seen + (1 - weight);
    return average / seen;
  });
}

/** Values with null for those that are not positive, which a logarithmic axis cannot show. */
export function positive(values: readonly (number | null)[]): (number | null)[] {
  return values.map((value) => (value !== null && value > 0 ? value : null));
}

/** A curve with those points of another appended that lie behind its last step. */
export function extended(curve: Curve, more: Curve): Curve {
  const last = curve.steps.at(-1) ?? -Infinity;
  const from = more.steps.findIndex((step) => step > last);
  if (from < 0) return curve;
  return {
    steps: [...curve.steps, ...more.steps.slice(from)],
    values: [...curve.values, ...more.values.slice(from)],
    isReduced: curve.isReduced || more.isReduced,
  };
}

/** Last, smallest and largest value of a curve; null where it has none. */
export function extremes({ steps, values }: Curve): {
  readonly last: number;
  readonly step: number;
  readonly least: number;
  readonly most: number;
} | null {
  const at = values.findLastIndex((value) => value !== null);
  if (at < 0) return null;
  const [last, step] = [values[at]!, steps[at]!];
  let [least, most] = [last, last];
  for (const value of values) {
    if (value === null) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return { last, step, least, most };
}

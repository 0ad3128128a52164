/** Bound of a log ratio before it is exponentiated, as in EasyR1 and verl; e^20 is about 485 million. */
export const LOG_RATIO_BOUND = 20;

/** `value` moved into the closed interval `[low, high]`. */
export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** Derivative of `clamp`: 1 on the closed interval, 0 outside it. */
export function clampDerivative(value: number, low: number, high: number): 0 | 1 {
  return value >= low && value <= high ? 1 : 0;
}

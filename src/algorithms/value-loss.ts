/**
 * PPO's clipped value loss of a micro-batch, its gradient and its metrics, with the numbers of EasyR1.
 *
 * The gradient is written by hand, as that of the policy loss is: only f32 `[T]` crosses to the device, and the
 * numbers equal the originals'.
 */
import { clamp, clampDerivative } from './clamp.ts';
import { assertTokenLengths, f32, maskedMean, tokenCount } from './primitives.ts';
import {
  lossAverage,
  lossAverageWeights,
  type LossAverageOptions,
  type LossRows,
} from './loss-average.ts';

/** One micro-batch, f32 `[T]` each. */
export interface ValueLossInput extends LossRows {
  /** The critic's values now. */
  readonly values: Float32Array;
  /** The critic's values before the step's first update. */
  readonly oldValues: Float32Array;
  readonly returns: Float32Array;
}

/** Options of the value loss: camelCase twins of `worker.critic` keys. */
export interface ValueLossOptions extends LossAverageOptions {
  /** Largest distance of a value from its old one. */
  readonly cliprangeValue: number;
}

/** A loss, its gradient, and metrics under EasyR1's names, less the `critic/` prefix. */
export interface ValueLoss {
  readonly loss: number;
  /** dLoss/dValues, f32 `[T]`; 0 at masked tokens. */
  readonly gradient: Float32Array;
  readonly metrics: {
    readonly vf_loss: number;
    /** Share of tokens whose clipped error was the larger. */
    readonly vf_clipfrac: number;
    readonly vpred_mean: number;
  };
}

/**
 * PPO's clipped value loss: half the average of the larger of two squared errors, that of the value and
 * that of the value kept within `cliprangeValue` of its old one. Elementwise float32; on a tie each
 * branch gets half the gradient.
 *
 * @throws SHAPE_MISMATCH when the lengths differ
 * @see arXiv:1707.06347; clip as in EasyR1
 */
export function valueLoss(input: ValueLossInput, options: ValueLossOptions): ValueLoss {
  const { values, oldValues, returns } = input;
  assertTokenLengths('valueLoss', input, { values, oldValues, returns });
  const count = tokenCount(input);
  const range = f32(options.cliprangeValue);
  const weights = lossAverageWeights(input, options);
  const losses = new Float32Array(count);
  const clipped = new Float32Array(count);
  const gradient = new Float32Array(count);
  for (let t = 0; t < count; t++) {
    const value = values[t]!;
    const low = f32(oldValues[t]! - range);
    const high = f32(oldValues[t]! + range);
    const error = f32(value - returns[t]!);
    const clippedError = f32(clamp(value, low, high) - returns[t]!);
    const square = f32(error * error);
    const clippedSquare = f32(clippedError * clippedError);
    losses[t] = Math.max(square, clippedSquare);
    clipped[t] = Number(square < clippedSquare);
    if (weights[t] === 0) continue;
    const share = square === clippedSquare ? 0.5 : Number(square > clippedSquare);
    const throughClip = (1 - share) * clippedError * clampDerivative(value, low, high);
    gradient[t] = weights[t]! * (share * error + throughClip);
  }
  const loss = f32(0.5 * lossAverage(losses, input, options));
  return {
    loss,
    gradient,
    metrics: {
      vf_loss: loss,
      vf_clipfrac: maskedMean(clipped, input),
      vpred_mean: maskedMean(values, input),
    },
  };
}

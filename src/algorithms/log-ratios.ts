/**
 * Log importance ratios of policy losses, each with the chain rule from it back to the log-probabilities.
 *
 * A loss sees one log ratio at each token: the token's own, or one of its response at all tokens of the response. The
 * rules differ in how that is made, and in what is held constant.
 */
import { clamp, LOG_RATIO_BOUND } from './clamp.ts';
import {
  EPSILON,
  f32,
  isCounted,
  rowMaskSums,
  rowMeans,
  rowSums,
  spread,
  type TokenRows,
} from './primitives.ts';

/** A micro-batch, as log ratios depend on it; arrays are f32 `[T]`. */
interface LogRatioInput extends TokenRows {
  /** `logProbs - oldLogProbs` at each token, nats. */
  readonly differences: Float32Array;
  readonly advantages: Float32Array;
}

/** Bounds of ratios: `1 - clipRatioLow` and `1 + clipRatioHigh`, or of their logarithms without the 1. */
export interface ClipRange {
  readonly clipRatioLow: number;
  readonly clipRatioHigh: number;
}

/** The log ratios of a micro-batch. */
interface LogRatios {
  /** f32 `[T]`, nats. */
  readonly values: Float32Array;
  /** Turns derivatives by the values, f32 `[T]`, into derivatives by the log-probabilities, in place. */
  readonly backward: (gradient: Float32Array) => void;
}

/** A rule that makes log ratios. */
export type LogRatioRule = (input: LogRatioInput, clip: ClipRange) => LogRatios;

/** Each token's own log ratio. */
export const tokenLogRatios: LogRatioRule = ({ differences }) => ({
  values: differences,
  backward: unchanged,
});

/** The mean over the response: the ratio is the geometric mean of its tokens' ratios. @see GSPO, arXiv:2507.18071 */
export const meanLogRatios: LogRatioRule = ({ differences, ...rows }) => ({
  values: responseMeans(differences, rows),
  backward: (gradient) => spreadOverResponses(gradient, rows),
});

/**
 * The mean over the response, held constant, times the token's own ratio to itself: each token has its own gradient.
 *
 * @see GSPO, section 4.3
 */
export const meanLogRatiosByToken: LogRatioRule = ({ differences, ...rows }) => ({
  values: responseMeans(differences, rows),
  backward: unchanged,
});

/**
 * The mean over the response of log ratios that are clipped first: at `clipRatioHigh` where the advantage is positive,
 * at `-clipRatioLow` where it is negative. A token at which it is 0 counts as unchanged.
 *
 * @see GMPO, arXiv:2507.20673
 */
export const clippedMeanLogRatios: LogRatioRule = ({ differences, advantages, ...rows }, clip) => {
  const [low, high] = [f32(-clip.clipRatioLow), f32(clip.clipRatioHigh)];
  const clipped = differences.map((x, t) => {
    if (advantages[t] === 0) return 0;
    return advantages[t]! > 0 ? Math.min(x, high) : Math.max(x, low);
  });
  return {
    values: responseMeans(clipped, rows),
    backward: (gradient) => {
      spreadOverResponses(gradient, rows);
      for (const [t, x] of differences.entries()) {
        if (clipped[t] !== x || advantages[t] === 0) gradient[t] = 0;
      }
    },
  };
};

/** Smallest ratio of a whole response, 1e-8, as in TRL. */
const LOG_SMALLEST = f32(Math.log(1e-8));

/**
 * The sum over the response, held constant: the logarithm of the ratio of the whole response.
 *
 * @see VESPO, arXiv:2602.10693
 */
export const responseLogRatios: LogRatioRule = ({ differences, ...rows }) => {
  const bounded = differences.map((x) => clamp(x, -LOG_RATIO_BOUND, LOG_RATIO_BOUND));
  const sums = rowSums(bounded, rows).map((x) => clamp(x, LOG_SMALLEST, LOG_RATIO_BOUND));
  return { values: spread(sums, rows), backward: unchanged };
};

function unchanged(): void {
  // Derivatives by these values are those by the log-probabilities.
}

/** Each response's masked mean at all of its tokens, f32 `[T]`. */
function responseMeans(values: Float32Array, rows: TokenRows): Float32Array {
  return spread(rowMeans(values, rows), rows);
}

/**
 * Turns derivatives by a response's mean into derivatives by its tokens' values, in place: the chain rule of
 * `responseMeans`. The derivatives at a response's tokens add up, and each token that counts gets an equal part.
 */
function spreadOverResponses(gradient: Float32Array, rows: TokenRows): void {
  const counts = rowMaskSums(rows);
  for (let i = 0; i < counts.length; i++) {
    let total = 0;
    for (let t = rows.offsets[i]!; t < rows.offsets[i + 1]!; t++) total += gradient[t]!;
    for (let t = rows.offsets[i]!; t < rows.offsets[i + 1]!; t++) {
      gradient[t] = isCounted(rows, t) ? total / f32(counts[i]! + EPSILON) : 0;
    }
  }
}

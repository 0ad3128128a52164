/**
 * Averages of token losses over a mini-batch, computed micro-batch by micro-batch.
 *
 * A learner multiplies the average of a micro-batch by its share of the mini-batch's tokens, and adds these up over all
 * micro-batches and learners. An average that is not one over tokens therefore divides by that share. So `token` and the
 * averages of verl are those of the whole mini-batch, however it is divided.
 *
 * @see verl's `agg_loss`; Dr. GRPO, arXiv:2503.20783, for `seq-mean-token-sum-norm`
 */
import {
  atTokens,
  EPSILON,
  f32,
  maskedMean,
  maskSum,
  rowCount,
  rowMaskSums,
  rowMeans,
  sum,
  type TokenRows,
} from './primitives.ts';

/** Counts of a mini-batch, all learners' together. */
export interface LossTotals {
  /** Response tokens that count. */
  readonly tokens: number;
  /** Responses, those without such a token among them. */
  readonly sequences: number;
}

/** The rows of a micro-batch, and the counts of the mini-batch that it is part of: its own where they are left out. */
export interface LossRows extends TokenRows {
  readonly whole?: LossTotals | undefined;
}

/** The average that token losses become one number by. */
export interface LossAverageOptions {
  readonly lossAvgMode: LossAverageMode;
  /** Constant that `seq-mean-token-sum-norm` divides every response's sum by; 1 when left out. */
  readonly lossScaleFactor?: number;
}

/** The counts that the divisor of a row's token losses is made of. */
interface Counts {
  /** Tokens of the row that count. */
  readonly ofRow: number;
  /** Tokens of the micro-batch that count. */
  readonly tokens: number;
  readonly rows: number;
  /** The micro-batch's share of the mini-batch's tokens. */
  readonly share: number;
  /** Responses of the mini-batch. */
  readonly sequences: number;
  readonly factor: number;
}

interface LossAverage {
  /** Number that the token losses of a row are divided by. */
  readonly divisor: (counts: Counts) => number;
  /** The average with the roundings of EasyR1; the weighted sum where it is left out. */
  readonly average?: (values: Float32Array, rows: TokenRows) => number;
}

/**
 * The averages by their config name (`loss_avg_mode`, verl's `loss_agg_mode`).
 *
 * `token` and `seq` are EasyR1's. There `seq` is the mean of a micro-batch's responses, weighted by its tokens, so it
 * depends on how a mini-batch is divided. The others have verl's names. `seq-mean-token-sum-norm` is the mean of the
 * responses' sums over a constant, as in TRL's `dr_grpo`; verl leaves out the mean.
 */
export const lossAverages = {
  token: { divisor: ({ tokens }) => f32(tokens + EPSILON), average: maskedMean },
  seq: { divisor: ({ ofRow, rows }) => f32(ofRow + EPSILON) * rows, average: meanOfRowMeans },
  'token-mean': { divisor: ({ tokens }) => tokens },
  'seq-mean-token-mean': { divisor: ({ ofRow, sequences, share }) => ofRow * sequences * share },
  'seq-mean-token-sum': { divisor: ({ sequences, share }) => sequences * share },
  'seq-mean-token-sum-norm': {
    divisor: ({ sequences, share, factor }) => sequences * share * factor,
  },
} as const satisfies Record<string, LossAverage>;

/** Config name of an average. */
export type LossAverageMode = keyof typeof lossAverages;

/** One loss from token losses: this micro-batch's, which its share of the mini-batch's tokens weighs. */
export function lossAverage(
  values: Float32Array,
  rows: LossRows,
  options: LossAverageOptions,
): number {
  const { average }: LossAverage = lossAverages[options.lossAvgMode];
  if (average !== undefined) return average(values, rows);
  const weights = lossAverageWeights(rows, options);
  let total = 0;
  // A masked token may hold infinities, and 0 times those is not 0.
  for (const [t, weight] of weights.entries()) if (weight !== 0) total += weight * values[t]!;
  return f32(total);
}

/** The weight of each token in `lossAverage`: its gradient with respect to the values, f32 `[T]`. */
export function lossAverageWeights(
  rows: LossRows,
  { lossAvgMode, lossScaleFactor: factor = 1 }: LossAverageOptions,
): Float32Array {
  const { divisor }: LossAverage = lossAverages[lossAvgMode];
  const tokens = maskSum(rows);
  const { whole = { tokens, sequences: rowCount(rows) } } = rows;
  const counts = { tokens, rows: rowCount(rows), share: tokens / whole.tokens, factor };
  const ofRows = Float32Array.from(
    rowMaskSums(rows),
    (ofRow) => 1 / divisor({ ...counts, ofRow, sequences: whole.sequences }),
  );
  return atTokens(ofRows, rows);
}

function meanOfRowMeans(values: Float32Array, rows: TokenRows): number {
  const means = rowMeans(values, rows);
  return means.length === 0 ? 0 : f32(sum(means) / means.length);
}

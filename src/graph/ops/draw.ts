import type { FloatDType } from '../../tensor/dtype.ts';
import { tensorOf } from '../../tensor/tensor.ts';
import type { GraphBuilder } from '../builder.ts';
import { isFloat, type Value, type ValueType } from '../ir.ts';
import { dtypeError, sameShape, shapeError } from '../shape.ts';
import { blank } from './array.ts';
import { drawTokensKernel } from './draw-kernels.ts';
import type { None, OpFamily } from './op.ts';

/** Attributes of the draw of tokens. */
export interface DrawAttributes {
  readonly drawTokens: None;
}

/** Elements of a part, which shaders add one by one for each of them. */
const PART = 256;
/** Added to a banned token's logit; its probability is then 0 in f32. */
const BANNED_BIAS = -1e30;

/**
 * Tokens drawn from rows of logits, by inverse CDF in the order of tokens.
 *
 * Inputs: `logits [R, V]`; `rows i32 [B]`, the row of each draw; `banned i32 [N]`, tokens that are never drawn; f32 `[B, 1]` each `uniform`, which decides;
 * `topK`, the number of likeliest tokens that are kept, 0 for all; `topP`, the share of their mass that is kept. Of
 * equals the lower token is likelier. Output: f32 `[B, 2]`, the token and its log-probability among all of the row.
 */
export const draw: OpFamily<DrawAttributes> = {
  drawTokens: {
    cost: 'costly',
    infer(inputs) {
      const [logits, rows, banned, ...columns] = inputs as [
        ValueType,
        ValueType,
        ValueType,
        ...ValueType[],
      ];
      const count = rows.shape[0]!;
      const isMatrix = logits.shape.length === 2 && typeof logits.shape[1] === 'number';
      const fits = columns.every(({ shape }) => sameShape(shape, [count, 1]));
      if (!isMatrix || [rows, banned].some(({ shape }) => shape.length !== 1) || !fits) {
        const want = 'wants [R, V] with a number for V, [B], [N], and [B, 1]';
        throw shapeError('drawTokens', want, inputs);
      }
      const areFloats = columns.every(({ dtype }) => dtype === 'f32') && isFloat(logits.dtype);
      if (!areFloats || [rows, banned].some(({ dtype }) => dtype !== 'i32')) {
        throw dtypeError('drawTokens', 'wants float logits, i32, and f32', inputs);
      }
      return [{ dtype: 'f32', shape: [count, 2] }];
    },
    expand({ inputs }, g) {
      const [logits, rows, banned, uniform, topK, topP] = inputs as [
        Value,
        Value,
        Value,
        Value,
        Value,
        Value,
      ];
      const vocabulary = logits.shape[1] as number;
      const bans = g.expand(g.scalar(BANNED_BIAS), banned.shape);
      const bias = g.scatterElements(g.zeros('f32', [vocabulary]), banned, bans, 0);
      const biased = g.add(g.cast(g.gather(logits, rows), 'f32'), bias);
      const ranks = countTo(g, [vocabulary]);
      const token = drawFrom(g, g.softmax(biased), uniform, { topK, topP, ranks });
      const logProb = g.gatherElements(g.logSoftmax(biased), g.cast(token, 'i32'), 1);
      return [g.concat([token, logProb], 1)];
    },
    steps({ inputs: [logits] }) {
      return [drawTokensKernel(logits!.dtype as FloatDType, logits!.shape[1] as number)];
    },
    evaluate([logits, rows, banned, uniform, topK, topP]) {
      const vocabulary = logits!.shape[1]!;
      const drawn = blank('f32', [rows!.data.length, 2]);
      const isBanned = new Set(banned!.data);
      for (const [row, from] of rows!.data.entries()) {
        const numbers = logits!.data.subarray(from * vocabulary, (from + 1) * vocabulary);
        const allowed = [...numbers.keys()].filter((token) => !isBanned.has(token));
        const top = Math.max(...allowed.map((token) => numbers[token]!));
        const weight = (token: number): number => Math.exp(numbers[token]! - top);
        const massOf = (tokens: readonly number[]): number =>
          tokens.reduce((sum, token) => sum + weight(token), 0);
        let kept = allowed.sort((a, b) => numbers[b]! - numbers[a]! || a - b);
        const total = massOf(kept);
        if (topK!.data[row]! > 0) kept = kept.slice(0, topK!.data[row]);
        if (topP!.data[row]! < 1) {
          const enough = topP!.data[row]! * massOf(kept);
          const short = kept.findIndex((_, i) => massOf(kept.slice(0, i + 1)) >= enough);
          kept = kept.slice(0, short + 1);
        }
        const target = uniform!.data[row]! * massOf(kept);
        const ordered = kept.sort((a, b) => a - b);
        const past = ordered.findIndex((_, i) => massOf(ordered.slice(0, i + 1)) > target);
        const token = ordered.at(past)!;
        drawn.data.set([token, Math.log(weight(token) / total)], 2 * row);
      }
      return [drawn];
    },
  },
};

/** What bounds a draw: `ranks f32 [K]` are 0 to K - 1, K being the largest `topK` or, with `topP`, V. */
export interface DrawBounds {
  readonly topK: Value;
  readonly topP?: Value;
  readonly ranks: Value;
}

/**
 * Tokens f32 `[B, 1]` drawn from `probabilities f32 [B, V]`.
 *
 * @param bounds null where every token may be drawn
 */
export function drawFrom(
  g: GraphBuilder,
  probabilities: Value,
  uniform: Value,
  bounds: DrawBounds | null,
): Value {
  const vocabulary = probabilities.shape[1] as number;
  const tokens = countTo(g, [1, vocabulary]);
  const zero = g.scalar(0);
  const weights =
    bounds === null
      ? probabilities
      : g.where(isKept(g, probabilities, tokens, bounds), probabilities, zero);
  // Softmax made the rows sum to 1 but for rounding, which the choice below allows for.
  const target = bounds === null ? uniform : g.mul(uniform, g.reduceSum(weights, [1], true));
  const isPast = g.greater(runningSums(g, weights, vocabulary), target);
  const isPossible = g.greater(weights, zero);
  // The first token at which the sum exceeds the target; by rounding, the last of all that may be drawn.
  const first = smallest(g, g.where(g.and(isPast, isPossible), tokens, g.scalar(vocabulary)));
  const last = g.reduceMax(g.where(isPossible, tokens, zero), [1], true);
  return g.min(first, last);
}

/** Whether each token is kept: bool `[B, V]`. */
function isKept(
  g: GraphBuilder,
  probabilities: Value, // [B, V]
  tokens: Value, // [1, V]
  { topK, topP, ranks }: DrawBounds,
): Value {
  const vocabulary = probabilities.shape[1] as number;
  const [sorted, places] = g.topK(probabilities, ranks.shape[0]!); // [B, K]
  let count = topK;
  if (topP !== undefined) {
    const isLikely = g.or(g.less(ranks, topK), g.equal(topK, g.scalar(0)));
    const running = runningSums(g, g.where(isLikely, sorted, g.scalar(0)), vocabulary);
    const mass = g.reduceMax(running, [1], true);
    // One more than those whose sum falls short of the share.
    const isShort = g.and(isLikely, g.less(running, g.mul(topP, mass)));
    const enough = g.add(g.reduceSum(g.cast(isShort, 'f32'), [1], true), g.scalar(1));
    count = g.where(g.less(topP, g.scalar(1)), enough, topK);
  }
  // The last of them tells which the others are: those likelier, and those as likely that come before it.
  const isLast = g.equal(ranks, g.sub(count, g.scalar(1)));
  const ofLast = (values: Value): Value =>
    g.reduceSum(g.where(isLast, values, g.scalar(0)), [1], true);
  const least = ofLast(sorted);
  const isTied = g.equal(probabilities, least);
  const isBefore = g.not(g.greater(tokens, ofLast(g.cast(places, 'f32'))));
  const isWithin = g.or(g.greater(probabilities, least), g.and(isTied, isBefore));
  return g.or(g.equal(count, g.scalar(0)), isWithin);
}

/** Each element plus all before it in its row of `[B, width]`: within parts, and the parts before each. */
function runningSums(g: GraphBuilder, x: Value, width: number): Value {
  const parts = Math.ceil(width / PART);
  const rows = x.shape[0]!;
  const padded = g.reshape(g.pad(x, 1, 0, parts * PART), [rows, parts, PART]);
  const within = g.cumSum(padded, 2);
  const totals = g.slice(within, { axis: 2, start: -1 }); // [B, parts, 1]
  const before = g.sub(g.cumSum(totals, 1), totals);
  const sums = g.reshape(g.add(within, before), [rows, parts * PART]);
  return g.slice(sums, { axis: 1, end: width });
}

/** The smallest of each row. */
function smallest(g: GraphBuilder, x: Value): Value {
  return g.neg(g.reduceMax(g.neg(x), [1], true));
}

/** 0, 1, … in a shape. */
function countTo(g: GraphBuilder, shape: readonly number[]): Value {
  const count = shape.reduce((product, size) => product * size, 1);
  return g.constant(tensorOf('f32', shape, [...Array(count).keys()]));
}

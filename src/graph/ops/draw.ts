/**
 * The draw of tokens by inverse CDF: the first token, in their order, at which the running sum of probabilities exceeds
 * a uniform number.
 *
 * Top-k keeps the likeliest tokens, top-p as many of these as make up a share of their mass.
 */
import type { FloatDType } from '../../tensor/dtype.ts';
import { sizeOf, tensorOf } from '../../tensor/tensor.ts';
import type { GraphBuilder } from '../builder.ts';
import { isFloat, type Value } from '../ir.ts';
import { dtypeError, sameShape, shapeError } from '../shape.ts';
import { blank } from './array.ts';
import { drawTokensKernel } from './draw-kernels.ts';
import type { None, OpFamily } from './op.ts';
import { BANNED_BIAS } from './vocabulary.ts';

/** Attributes of the draw of tokens. */
export interface DrawAttributes {
  readonly drawTokens: None;
}

/** Elements of a part of a running sum. Shaders add all elements of a part anew for each of its sums. */
const PART = 256;

/**
 * Tokens drawn from rows of logits.
 *
 * Inputs:
 * - `logits [R, V]`
 * - `rows i32 [B]`, the row of each draw
 * - `banned i32 [N]`, tokens that are never drawn
 * - `uniform f32 [B, 1]`, random numbers in [0, 1)
 * - `topK f32 [B, 1]`, the number of likeliest tokens to keep, 0 for all; of equals the lower token is likelier
 * - `topP f32 [B, 1]`, the share of their mass to keep
 *
 * Output: f32 `[B, 2]`, the token, and its log-probability among all tokens of the row that are not banned.
 */
export const draw: OpFamily<DrawAttributes> = {
  drawTokens: {
    isCostly: true,
    infer(inputs) {
      const [logits, rows, banned] = [inputs[0]!, inputs[1]!, inputs[2]!];
      const columns = inputs.slice(3);
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
    expand({ inputs: [logits, rows, banned, uniform, topK, topP] }, g) {
      const vocabulary = logits!.shape[1] as number;
      const bans = g.expand(g.scalar(BANNED_BIAS), banned!.shape);
      const bias = g.scatterElements(g.zeros('f32', [vocabulary]), banned!, bans, 0);
      const biased = g.add(g.cast(g.gather(logits!, rows!), 'f32'), bias);
      const bounds = { topK: topK!, topP: topP!, ranks: countTo(g, [vocabulary]) };
      const token = drawFrom(g, g.softmax(biased), uniform!, bounds);
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

/** Bounds of a draw. `ranks f32 [K]` are 0 to K - 1, with K the largest `topK`, or V where there is a `topP`. */
interface DrawBounds {
  readonly topK: Value;
  readonly topP?: Value;
  readonly ranks: Value;
}

/**
 * Draws tokens f32 `[B, 1]` from `probabilities f32 [B, V]`.
 *
 * @param bounds null to keep every token
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
  // The rows sum to 1 but for rounding, which the choice of `last` below allows for.
  const target = bounds === null ? uniform : g.mul(uniform, g.reduceSum(weights, [1], true));
  const isPast = g.greater(runningSums(g, weights, vocabulary), target);
  const isPossible = g.greater(weights, zero);
  // The first token at which the sum exceeds the target, or by rounding the last that may be drawn.
  const first = smallest(g, g.where(g.and(isPast, isPossible), tokens, g.scalar(vocabulary)));
  const last = g.reduceMax(g.where(isPossible, tokens, zero), [1], true);
  return g.min(first, last);
}

/** Tells for each token whether it is kept: bool `[B, V]`. */
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
    // One more than the tokens whose running sum falls short of the share.
    const isShort = g.and(isLikely, g.less(running, g.mul(topP, mass)));
    const enough = g.add(g.reduceSum(g.cast(isShort, 'f32'), [1], true), g.scalar(1));
    count = g.where(g.less(topP, g.scalar(1)), enough, topK);
  }
  // The last kept token bounds the others: they are likelier, or equally likely and lower.
  const isLast = g.equal(ranks, g.sub(count, g.scalar(1)));
  const ofLast = (values: Value): Value =>
    g.reduceSum(g.where(isLast, values, g.scalar(0)), [1], true);
  const least = ofLast(sorted);
  const isTied = g.equal(probabilities, least);
  const isBefore = g.not(g.greater(tokens, ofLast(g.cast(places, 'f32'))));
  const isWithin = g.or(g.greater(probabilities, least), g.and(isTied, isBefore));
  return g.or(g.equal(count, g.scalar(0)), isWithin);
}

/** Running sums along the rows of `[B, width]`: sums within parts, plus the sum of the parts before each. */
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
  return g.constant(tensorOf('f32', shape, [...Array(sizeOf(shape)).keys()]));
}

import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { tensorOf } from '../tensor/tensor.ts';

/** Elements of a part, which shaders add one by one for each of them. */
const PART = 256;

/** What bounds the draws: nothing, a count of tokens (greedy draws are of the likeliest one), or a share of mass too. */
export type DrawBound = 'none' | 'topK' | 'topP';

/**
 * Tokens drawn by inverse CDF, in the order of tokens, from rows of distributions.
 *
 * Inputs: `probabilities f32 [R, V]`, `rows i32 [B]`, the row of each draw, `uniform f32 [B, 1]`. Where draws are bounded
 * also `topK f32 [B, 1]`, the number of likeliest tokens that are kept, 0 for all of them, and `ranks f32 [K]`, 0 to
 * K - 1, K being the largest `topK` or, with `topP f32 [B, 1]`, the share of their mass that is kept, V. Of equals the
 * lower token is likelier. Output: `drawn f32 [B, 2]`, the token and its probability.
 */
export function drawGraph(vocabulary: number, bound: DrawBound): Graph {
  const g = new GraphBuilder(`draw-${bound}`);
  const distributions = g.input('probabilities', 'f32', ['R', vocabulary]);
  const probabilities = g.gather(distributions, g.input('rows', 'i32', ['B'])); // [B, V]
  const uniform = g.input('uniform', 'f32', ['B', 1]);
  const numbers = Array.from({ length: vocabulary }, (_, token) => token);
  const tokens = g.constant(tensorOf('f32', [1, vocabulary], numbers));
  const zero = g.scalar(0);
  const weights =
    bound === 'none'
      ? probabilities
      : g.where(isKept(g, probabilities, tokens, bound), probabilities, zero);
  // Softmax made the rows sum to 1 but for rounding, which the choice below allows for.
  const target = bound === 'none' ? uniform : g.mul(uniform, g.reduceSum(weights, [1], true));
  const isPast = g.greater(runningSums(g, weights, vocabulary), target);
  const isPossible = g.greater(weights, zero);
  // The first token at which the sum exceeds the target; by rounding, the last of all that may be drawn.
  const first = smallest(g, g.where(g.and(isPast, isPossible), tokens, g.scalar(vocabulary)));
  const last = g.reduceMax(g.where(isPossible, tokens, zero), [1], true);
  const token = g.min(first, last);
  const probability = g.gatherElements(probabilities, g.cast(token, 'i32'), 1);
  g.output('drawn', g.concat([token, probability], 1));
  return g.build();
}

/** Whether each token is kept: bool `[B, V]`. */
function isKept(
  g: GraphBuilder,
  probabilities: Value, // [B, V]
  tokens: Value, // [1, V]
  bound: 'topK' | 'topP',
): Value {
  const vocabulary = probabilities.shape[1] as number;
  const width = bound === 'topP' ? vocabulary : 'K';
  const ranks = g.input('ranks', 'f32', [width]);
  const topK = g.input('topK', 'f32', ['B', 1]);
  const [sorted, places] = g.topK(probabilities, width); // [B, K]
  let count = topK;
  if (bound === 'topP') {
    const topP = g.input('topP', 'f32', ['B', 1]);
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

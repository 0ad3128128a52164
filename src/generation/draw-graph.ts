import { GraphBuilder } from '../graph/builder.ts';
import type { Graph } from '../graph/ir.ts';
import { drawFrom } from '../graph/ops/draw.ts';

/** Bounds of draws: none, a number of likeliest tokens (1 for greedy draws), or a share of their mass too. */
export type DrawBound = 'none' | 'topK' | 'topP';

/**
 * Draws of tokens by inverse CDF, in the order of tokens, from rows of distributions. Of equals the lower token is
 * likelier.
 *
 * Inputs: `probabilities f32 [R, V]`; `rows i32 [B]`, the row of each draw; `uniform f32 [B, 1]`. Output:
 * `drawn f32 [B, 2]`, the token and its probability.
 *
 * Bounded draws take also `topK f32 [B, 1]`, the number of likeliest tokens to keep, 0 for all, and `ranks f32 [K]`, the
 * numbers from 0 on, K being the largest `topK`. With `topP f32 [B, 1]`, the share of their mass to keep, K is V.
 */
export function drawGraph(vocabulary: number, bound: DrawBound): Graph {
  const g = new GraphBuilder(`draw-${bound}`);
  const distributions = g.input('probabilities', 'f32', ['R', vocabulary]);
  const probabilities = g.gather(distributions, g.input('rows', 'i32', ['B'])); // [B, V]
  const uniform = g.input('uniform', 'f32', ['B', 1]);
  const bounds =
    bound === 'none'
      ? null
      : {
          ranks: g.input('ranks', 'f32', [bound === 'topP' ? vocabulary : 'K']),
          topK: g.input('topK', 'f32', ['B', 1]),
          ...(bound === 'topP' ? { topP: g.input('topP', 'f32', ['B', 1]) } : {}),
        };
  const token = drawFrom(g, probabilities, uniform, bounds);
  const probability = g.gatherElements(probabilities, g.cast(token, 'i32'), 1);
  g.output('drawn', g.concat([token, probability], 1));
  return g.build();
}

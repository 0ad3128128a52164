/** Graphs that change the logits of draws and tell the model's own probabilities, on any device. */
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph } from '../graph/ir.ts';
import { NEVER } from './logit-control.ts';

/**
 * Rows of logits as draws want them: changed at some tokens, masked, and cut at a share of the likeliest one.
 *
 * Inputs:
 * - `logits f32 [R, V]`, divided by the temperature
 * - `rows i32 [B]`, the row of each draw
 * - `logitBias f32 [V]`
 * - `tokens i32 [B, M]`, the tokens whose logits change, no token twice in a row but with neutral changes
 * - `factors f32 [B, M]`, which divide positive logits and multiply negative ones; `offsets f32 [B, M]`, which are added
 * - `logMinP f32 [B, 1]`, the logarithm of the least share of the largest probability
 * - `mask f32 [B, V]`, added, where `hasMask`
 *
 * Output `edited f32 [B, V]`: logits, or their softmax where `isNormal`.
 */
export function editGraph(vocabulary: number, hasMask: boolean, isNormal: boolean): Graph {
  const g = new GraphBuilder('edit-logits');
  const all = g.input('logits', 'f32', ['R', vocabulary]);
  const rows = g.gather(all, g.input('rows', 'i32', ['B']));
  const logits = g.add(rows, g.input('logitBias', 'f32', [vocabulary]));
  const tokens = g.input('tokens', 'i32', ['B', 'M']);
  const factors = g.input('factors', 'f32', ['B', 'M']);
  const before = g.gatherElements(logits, tokens, 1);
  const isPositive = g.greater(before, g.scalar(0));
  const scaled = g.where(isPositive, g.div(before, factors), g.mul(before, factors));
  const after = g.add(scaled, g.input('offsets', 'f32', ['B', 'M']));
  let edited = g.scatterElements(logits, tokens, g.sub(after, before), 1);
  if (hasMask) edited = g.add(edited, g.input('mask', 'f32', ['B', vocabulary]));
  const least = g.add(g.reduceMax(edited, [1], true), g.input('logMinP', 'f32', ['B', 1]));
  const bounded = g.where(g.less(edited, least), g.scalar(NEVER), edited);
  g.output('edited', isNormal ? g.softmax(bounded, -1) : bounded);
  return g.build();
}

/**
 * Log-probabilities of drawn tokens and of the likeliest ones, by the model alone.
 *
 * Inputs `logits f32 [R, V]`, `rows i32 [B]`, `logitBias f32 [V]`, `drawn i32 [B, 1]`. Outputs `logProbs f32 [B, 1]`,
 * and `values` and `places`, f32 `[B, most]`, of the likeliest tokens in falling order.
 */
export function scoreGraph(vocabulary: number, most: number): Graph {
  const g = new GraphBuilder('score-draws');
  const all = g.input('logits', 'f32', ['R', vocabulary]);
  const rows = g.gather(all, g.input('rows', 'i32', ['B']));
  const scores = g.logSoftmax(g.add(rows, g.input('logitBias', 'f32', [vocabulary])), -1);
  g.output('logProbs', g.gatherElements(scores, g.input('drawn', 'i32', ['B', 1]), 1));
  const [values, places] = g.topK(scores, Math.min(most, vocabulary));
  g.output('values', values);
  g.output('places', g.cast(places, 'f32'));
  return g.build();
}

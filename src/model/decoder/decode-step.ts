import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import { productDim } from '../../graph/dim.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapters/adapter.ts';
import { rotaryInputs, scoreScaleOf, splitHeads } from '../attention.ts';
import { arange } from '../cache-graphs.ts';
import type { TextConfig } from '../model-config.ts';
import { finishLayer } from './layer.ts';
import { projection } from './projection.ts';

/** Score of a place that a token does not see. */
const UNSEEN_SCORE = -1e30;

/**
 * A decoder layer for one token of each of `B` sequences, with its cache. Each token's key and value are written at its
 * place, and attention reads the whole capacity `C` under a mask, so that shapes never change.
 *
 * Inputs: `hidden [B, D]`; `rotary.cos` and `rotary.sin`, f32 `[B, d/2]`; `keys` and `values`, `[B, K, C, d]`;
 * `cached`, f32 `[B]`, the number of tokens before this one; the parameters. Outputs: `output [B, D]`, `nextKeys`,
 * `nextValues`.
 *
 * @param dtype dtype of hidden rows, weights and cache
 */
export function decodeStepGraph(
  config: TextConfig,
  capacity: number,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
): Graph {
  const { hiddenSize, heads, kvHeads, headDim } = config;
  const g = new GraphBuilder('decode-step');
  const hidden = g.input('hidden', dtype, ['B', hiddenSize]);
  const rotary = rotaryInputs(g, 'B', headDim);
  const cache = ['B', kvHeads, capacity, headDim] as const;
  const keys = g.input('keys', dtype, cache);
  const values = g.input('values', dtype, cache);
  const cached = g.input('cached', 'f32', ['B']);
  const qkv = projection(g, hidden, config, adapters);
  const { query, key, value } = splitHeads(g, qkv, rotary, config);

  const count = g.reshape(cached, ['B', 1, 1]);
  const places = g.reshape(arange(g, capacity), [1, 1, capacity]);
  const isSeen = g.not(g.greater(places, count)); // [B, 1, C]
  const isOwn = g.unsqueeze(g.and(isSeen, g.not(g.less(places, count))), [3]); // [B, 1, C, 1]
  const nextKeys = g.where(isOwn, g.unsqueeze(key, [2]), keys);
  const nextValues = g.where(isOwn, g.unsqueeze(value, [2]), values);

  const groups = productDim(['B', kvHeads]);
  const grouped = (x: Value): Value => g.reshape(x, [groups, capacity, headDim]);
  const queries = g.reshape(query, [groups, heads / kvHeads, headDim]);
  const products = g.matMul(queries, grouped(nextKeys), {
    transB: true,
    alpha: scoreScaleOf(config),
  });
  const scores = g.cast(g.reshape(products, ['B', heads, capacity]), 'f32');
  const weights = g.softmax(g.where(isSeen, scores, g.scalar(UNSEEN_SCORE)), -1);
  const attention = g.reshape(g.cast(weights, dtype), [groups, heads / kvHeads, capacity]);
  const attended = g.reshape(g.matMul(attention, grouped(nextValues)), ['B', heads * headDim]);
  g.output('output', finishLayer(g, hidden, attended, config, adapters));
  g.output('nextKeys', nextKeys);
  g.output('nextValues', nextValues);
  return g.build();
}

import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import { productDim } from '../../graph/shape.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { tensorOf } from '../../tensor/tensor.ts';
import { withAdapters } from '../adapted-product.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapter.ts';
import { scoreScaleOf } from './decode.ts';
import { finishLayer, projectionWeights, splitHeads } from './decoder.ts';
import type { TextConfig } from './config.ts';
import { layerProducts } from './modules.ts';

/** Added to the score of a place that a token does not see. */
const UNSEEN_SCORE = -1e30;

/**
 * A decoder layer for one token of each of `B` sequences, its cache included: what each token adds to the cache is
 * written at its place, and attention reads the whole capacity `C` under a mask, so that shapes never change.
 *
 * Inputs: `hidden [B, D]`; `rotary.cos` and `rotary.sin`, f32 `[B, d/2]`; `keys` and `values`, `[B, K, C, d]`;
 * `cached`, f32 `[B]`, tokens of each before this one; the parameters. Outputs: `output [B, D]`, `nextKeys`,
 * `nextValues`.
 *
 * @param dtype of hidden rows, weights and cache
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
  const cos = g.input('rotary.cos', 'f32', ['B', headDim / 2]);
  const sin = g.input('rotary.sin', 'f32', ['B', headDim / 2]);
  const cache = ['B', kvHeads, capacity, headDim] as const;
  const keys = g.input('keys', dtype, cache);
  const values = g.input('values', dtype, cache);
  const cached = g.input('cached', 'f32', ['B']);
  const { inputNorm, qkvWeight } = projectionWeights(g, config, dtype);
  const qkvBias = g.input('qkvBias', dtype, [qkvWeight.shape[0]!]);
  const normed = g.rmsNorm(hidden, inputNorm, config.rmsNormEps);
  const biased = g.add(g.linear(normed, qkvWeight), qkvBias);
  const qkv = withAdapters(g, layerProducts(config).qkv, adapters, normed, biased);
  const { query, key, value } = splitHeads(g, qkv, { cos, sin }, config);

  const count = g.reshape(cached, ['B', 1, 1]);
  const places = g.reshape(placesOf(g, capacity), [1, 1, capacity]);
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

/**
 * Writes what a prefill made of a prompt into a slot of a layer's cache.
 *
 * Inputs: `rows [T, K, d]`, keys or values of a pass; `cache [S, K, C, d]`; f32 scalars `slot`, `start`, the prompt's
 * first row, and `tokens`. Output: `next`, the cache.
 */
export function cacheWriteGraph(
  { kvHeads, headDim }: TextConfig,
  { slots, capacity }: { readonly slots: number; readonly capacity: number },
  dtype: FloatDType = 'f32',
): Graph {
  const g = new GraphBuilder('cache-write');
  const rows = g.input('rows', dtype, ['T', kvHeads, headDim]);
  const cache = g.input('cache', dtype, [slots, kvHeads, capacity, headDim]);
  const [slot, start, tokens] = ['slot', 'start', 'tokens'].map((name) =>
    g.input(name, 'f32', []),
  ) as [Value, Value, Value];
  const places = placesOf(g, capacity);
  const isPrompt = g.less(places, tokens);
  // A place behind the prompt reads its first row, which the mask then leaves out.
  const from = g.add(start, g.where(isPrompt, places, g.scalar(0)));
  const prompt = g.transpose(g.gather(rows, g.cast(from, 'i32')), [1, 0, 2]); // [K, C, d]
  const isSlot = g.reshape(isPlace(g, slots, slot), [slots, 1, 1, 1]);
  const isWritten = g.and(isSlot, g.reshape(isPrompt, [1, 1, capacity, 1]));
  g.output('next', g.where(isWritten, g.unsqueeze(prompt, [0]), cache));
  return g.build();
}

/** Copies slot `from` of a layer's cache to slot `to`, f32 scalars. Inputs: `cache`; output: `next`. */
export function cacheMoveGraph(
  { kvHeads, headDim }: TextConfig,
  { slots, capacity }: { readonly slots: number; readonly capacity: number },
  dtype: FloatDType = 'f32',
): Graph {
  const g = new GraphBuilder('cache-move');
  const cache = g.input('cache', dtype, [slots, kvHeads, capacity, headDim]);
  const from = g.input('from', 'f32', [1]);
  const to = g.input('to', 'f32', []);
  const moved = g.gather(cache, g.cast(from, 'i32')); // [1, K, C, d]
  const isTarget = g.reshape(isPlace(g, slots, to), [slots, 1, 1, 1]);
  g.output('next', g.where(isTarget, moved, cache));
  return g.build();
}

/** 0, 1, … as f32 `[count]`. */
function placesOf(g: GraphBuilder, count: number): Value {
  return g.constant(
    tensorOf(
      'f32',
      [count],
      Array.from({ length: count }, (_, i) => i),
    ),
  );
}

/** Which of the places from 0 to `count` is the given one. */
function isPlace(g: GraphBuilder, count: number, place: Value): Value {
  const places = placesOf(g, count);
  return g.not(g.or(g.less(places, place), g.greater(places, place)));
}

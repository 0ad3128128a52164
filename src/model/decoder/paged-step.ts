import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph } from '../../graph/ir.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapters/adapter.ts';
import { rotaryInputs, scoreScaleOf } from '../attention.ts';
import type { TextConfig } from '../model-config.ts';
import { finishLayer } from './layer.ts';
import { unbiasedProjection } from './projection.ts';

/**
 * A decoder layer for one token of each of `B` sequences, with their keys and values in pages of a cache.
 *
 * Inputs: `hidden [B, D]`, and `normed [B, D]`, these rows after the layer's first norm; `rotary.cos` and
 * `rotary.sin`, f32 `[B, d/2]`; `keys` and `values`, `[N, R, K, d]` of all pages; `pages i32 [B, M]`; `lengths i32 [B]`,
 * the number of tokens before this one; the parameters but for the first norm's. Outputs: `output [B, D]`, `nextKeys`,
 * `nextValues`, which may be the cache's own memory.
 *
 * Every layer but the last also takes `nextNorm [D]`, the weight of the next layer's first norm, and outputs `nextNormed
 * [B, D]`: so one kernel adds the layer up and norms it.
 *
 * @param dtype dtype of hidden rows, weights and cache
 */
export function pagedStepGraph(
  config: TextConfig,
  pageRows: number,
  isLast: boolean,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
): Graph {
  const { hiddenSize, kvHeads, headDim } = config;
  const g = new GraphBuilder(isLast ? 'paged-step-last' : 'paged-step');
  const hidden = g.input('hidden', dtype, ['B', hiddenSize]);
  const normed = g.input('normed', dtype, ['B', hiddenSize]);
  const rotary = rotaryInputs(g, 'B', headDim);
  const cache = {
    keys: g.input('keys', dtype, ['N', pageRows, kvHeads, headDim]),
    values: g.input('values', dtype, ['N', pageRows, kvHeads, headDim]),
    pages: g.input('pages', 'i32', ['B', 'M']),
    lengths: g.input('lengths', 'i32', ['B']),
  };
  const { qkv, bias } = unbiasedProjection(g, normed, config, adapters);
  const scale = scoreScaleOf(config);
  const [attended, nextKeys, nextValues] = g.cachedAttention(qkv, rotary, cache, scale, bias);
  const output = finishLayer(g, hidden, attended, config, adapters);
  g.output('output', output);
  g.output('nextKeys', nextKeys);
  g.output('nextValues', nextValues);
  if (!isLast) {
    const nextNorm = g.input('nextNorm', dtype, [hiddenSize]);
    g.output('nextNormed', g.rmsNorm(output, nextNorm, config.rmsNormEps));
  }
  return g.build();
}

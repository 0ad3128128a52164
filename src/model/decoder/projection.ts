/** Queries, keys and values of a decoder layer, before rotation. */
import type { GraphBuilder } from '../../graph/builder.ts';
import type { Value } from '../../graph/ir.ts';
import type { DType } from '../../tensor/dtype.ts';
import { productWeight, project, withAdapters } from '../adapters/adapted-product.ts';
import type { GraphAdapters } from '../adapters/adapter.ts';
import type { TextConfig } from '../model-config.ts';
import { attentionProducts } from './weight-names.ts';

/** Projects `hidden [T, D]`, after the layer's first norm, to joined queries, keys and values `[T, (H + 2K)·d]`. */
export function projection(
  g: GraphBuilder,
  hidden: Value,
  config: TextConfig,
  adapters: GraphAdapters,
): Value {
  const norm = g.input('inputNorm', hidden.dtype, [config.hiddenSize]);
  return ofNormed(g, g.rmsNorm(hidden, norm, config.rmsNormEps), config, adapters);
}

/** Projects rows that are normed already. */
function ofNormed(
  g: GraphBuilder,
  normed: Value,
  config: TextConfig,
  adapters: GraphAdapters,
): Value {
  const { qkv } = attentionProducts(config);
  const product = g.linear(normed, productWeight(g, qkv, normed.dtype));
  const bias = projectionBias(g, config, normed.dtype);
  // Adding the bias apart takes less time than Gemm's addend, which ONNX Runtime first spreads over the output.
  const biased = bias === undefined ? product : g.add(product, bias);
  return normedHeads(g, withAdapters(g, qkv, adapters, normed, biased), config);
}

/**
 * Projects normed rows, and leaves the bias to the caller, who adds it later. If heads are normed, it is added here,
 * before that norm, and there is none left.
 */
export function unbiasedProjection(
  g: GraphBuilder,
  normed: Value,
  config: TextConfig,
  adapters: GraphAdapters,
): { readonly qkv: Value; readonly bias: Value | undefined } {
  if (config.qkNorm) return { qkv: ofNormed(g, normed, config, adapters), bias: undefined };
  const qkv = project(g, attentionProducts(config).qkv, adapters, normed);
  return { qkv, bias: projectionBias(g, config, normed.dtype) };
}

function projectionBias(
  g: GraphBuilder,
  { qkvBias, heads, kvHeads, headDim }: TextConfig,
  dtype: DType,
): Value | undefined {
  return qkvBias ? g.input('qkvBias', dtype, [(heads + 2 * kvHeads) * headDim]) : undefined;
}

/**
 * Joined queries, keys and values `[T, (H + 2K)·d]` with the root mean square norm of each head's query and key, by
 * weights `queryNorm` and `keyNorm [d]`; as they are in a model without these norms.
 *
 * @see Qwen3, arXiv:2505.09388, section 2; the norm stands before the rotation
 */
export function normedHeads(g: GraphBuilder, qkv: Value, config: TextConfig): Value {
  const { heads, kvHeads, headDim, rmsNormEps } = config;
  if (!config.qkNorm) return qkv;
  const weight = (name: string): Value => g.input(name, qkv.dtype, [headDim]);
  const byHead = g.reshape(qkv, [qkv.shape[0]!, heads + 2 * kvHeads, headDim]);
  const [query, key, value] = g.split(byHead, [heads, kvHeads, kvHeads], 1) as [
    Value,
    Value,
    Value,
  ];
  const normed = [
    g.rmsNorm(query, weight('queryNorm'), rmsNormEps),
    g.rmsNorm(key, weight('keyNorm'), rmsNormEps),
    value,
  ];
  return g.reshape(g.concat(normed, 1), qkv.shape);
}

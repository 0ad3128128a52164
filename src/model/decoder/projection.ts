import type { GraphBuilder } from '../../graph/builder.ts';
import type { Value } from '../../graph/ir.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { withAdapters } from '../adapters/adapted-product.ts';
import type { GraphAdapters } from '../adapters/adapter.ts';
import type { TextConfig } from '../model-config.ts';
import { attentionProducts } from './weight-names.ts';

/** Declares the norm and the weight of a layer's queries, keys and values as inputs. */
export function projectionWeights(g: GraphBuilder, config: TextConfig, dtype: FloatDType) {
  return {
    inputNorm: g.input('inputNorm', dtype, [config.hiddenSize]),
    qkvWeight: qkvWeightOf(g, config, dtype),
  };
}

/** A layer's queries, keys and values before rotation: `hidden [T, D]` to `[T, (H + 2K)·d]`. */
export function projection(
  g: GraphBuilder,
  hidden: Value,
  config: TextConfig,
  adapters: GraphAdapters,
): Value {
  const { inputNorm, ...weights } = projectionWeights(g, config, hidden.dtype as FloatDType);
  const bias = projectionBias(g, config, hidden.dtype as FloatDType);
  const normed = g.rmsNorm(hidden, inputNorm, config.rmsNormEps);
  const product = g.linear(normed, weights.qkvWeight);
  // Adding the bias apart takes less time than Gemm's addend, which ONNX Runtime first spreads over the output.
  const biased = bias === undefined ? product : g.add(product, bias);
  const qkv = withAdapters(g, attentionProducts(config).qkv, adapters, normed, biased);
  return normedHeads(g, qkv, config);
}

/**
 * The same of rows that are normed already, without the bias where there is one that can be added later: heads that are
 * normed have theirs.
 */
export function unbiasedProjection(
  g: GraphBuilder,
  normed: Value,
  config: TextConfig,
  adapters: GraphAdapters,
): { readonly qkv: Value; readonly bias: Value | undefined } {
  const dtype = normed.dtype as FloatDType;
  const product = g.linear(normed, qkvWeightOf(g, config, dtype));
  const bias = projectionBias(g, config, dtype);
  const { qkv: module } = attentionProducts(config);
  if (!config.qkNorm) return { qkv: withAdapters(g, module, adapters, normed, product), bias };
  const biased = bias === undefined ? product : g.add(product, bias);
  const qkv = normedHeads(g, withAdapters(g, module, adapters, normed, biased), config);
  return { qkv, bias: undefined };
}

function qkvWeightOf(g: GraphBuilder, config: TextConfig, dtype: FloatDType): Value {
  const { hiddenSize, heads, kvHeads, headDim } = config;
  return g.input('qkvWeight', dtype, [(heads + 2 * kvHeads) * headDim, hiddenSize]);
}

function projectionBias(
  g: GraphBuilder,
  { qkvBias, heads, kvHeads, headDim }: TextConfig,
  dtype: FloatDType,
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

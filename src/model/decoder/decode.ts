import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import { productDim } from '../../graph/dim.ts';
import { adapterProduct, productWeight, type AdapterForm } from '../adapters/adapted-product.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapters/adapter.ts';
import { scoreScaleOf } from '../attention.ts';
import { DecodeLayout, type DecodeForm } from '../decode-form.ts';
import type { TextConfig } from '../model-config.ts';
import type { Product } from '../weights/modules.ts';
import { mixture } from './mixture.ts';
import { normedHeads } from './projection.ts';
import { attentionProducts, mlpProducts } from './weight-names.ts';

/**
 * The first part of a decoding layer: query, key and value of one token of each sequence, before rotation.
 *
 * Inputs: `hidden` in the given form, and the projection's parameters, `qkvBias` with a last axis of 1 in
 * columns, where there is one. Output: `projected [B, (H + 2K)·d]`, queries, keys and values. All are f32.
 */
export function decodeProjectGraph(
  config: TextConfig,
  form: DecodeForm,
  adapters: GraphAdapters = NO_ADAPTERS,
): Graph {
  const g = new GraphBuilder(`decode-project-${form}`);
  const layout = new DecodeLayout(g, form);
  const hidden = g.input('hidden', 'f32', layout.shape(config.hiddenSize));
  const { qkv: product } = attentionProducts(config);
  const inputNorm = g.input('inputNorm', 'f32', [config.hiddenSize]);
  const qkvWeight = productWeight(g, product, 'f32');
  const qkvBias = config.qkvBias
    ? g.input('qkvBias', 'f32', layout.perFeature(qkvWeight.shape[0] as number))
    : undefined;
  const normed = g.rmsNorm(layout.transposed(hidden), inputNorm, config.rmsNormEps);
  const added = adapterProduct(g, product, adapters, layout.adapters(normed, 'rows'));
  const biased = layout.ofRows(qkvWeight, normed, qkvBias);
  const qkv = layout.transposed(added === undefined ? biased : g.add(biased, added));
  g.output('projected', normedHeads(g, qkv, config));
  return g.build();
}

/**
 * The rest of a decoding layer: attention over the cache, and the gated MLP or the experts.
 *
 * Inputs: `hidden` in the given form, `query [B·K, H/K, d + 1]`, rotated, by its groups, whose last feature
 * is 1 for the bias that the cache's keys have; the cache's `keys [B·K, C, d + 1]` and `values [B·K, C, d]`;
 * the parameters. Output: `output`, as `hidden`. All are f32.
 */
export function decodeAttendGraph(
  config: TextConfig,
  form: DecodeForm,
  adapters: GraphAdapters = NO_ADAPTERS,
): Graph {
  const { headDim, heads, hiddenSize, kvHeads, rmsNormEps } = config;
  const g = new GraphBuilder(`decode-attend-${form}`);
  const layout = new DecodeLayout(g, form);
  const groups = productDim(['B', kvHeads]);
  const hidden = g.input('hidden', 'f32', layout.shape(hiddenSize));
  const query = g.input('query', 'f32', [groups, heads / kvHeads, headDim + 1]);
  const keys = g.input('keys', 'f32', [groups, 'C', headDim + 1]);
  const values = g.input('values', 'f32', [groups, 'C', headDim]);
  const scores = g.matMul(query, keys, { transB: true, alpha: scoreScaleOf(config) });
  const attended = g.reshape(g.matMul(g.softmax(scores, -1), values), ['B', heads * headDim]);
  const { output } = attentionProducts(config);
  // The adapters' part joins a product's addend, so that the product adds both.
  const adapted = (product: Product, form: AdapterForm, addend?: Value): Value | undefined => {
    const added = adapterProduct(g, product, adapters, form);
    return added === undefined || addend === undefined ? (added ?? addend) : g.add(addend, added);
  };
  const ofRows = (product: Product, rows: Value, addend?: Value): Value => {
    const weight = productWeight(g, product, 'f32');
    return layout.ofRows(weight, rows, adapted(product, layout.adapters(rows, 'rows'), addend));
  };
  const residual = ofRows(output, attended, hidden);
  const postNorm = g.input('postNorm', 'f32', [hiddenSize]);
  const normed = g.rmsNorm(layout.transposed(residual), postNorm, rmsNormEps);
  if (config.experts !== null) {
    const outputs = mixture(g, normed, config, config.experts, adapters);
    g.output('output', g.add(residual, layout.transposed(outputs)));
    return g.build();
  }
  const { gate, up, down } = mlpProducts(config);
  const activated = g.silu(ofRows(gate, normed));
  const gated = g.mul(activated, ofRows(up, normed));
  const addend = adapted(down, layout.adapters(gated), residual)!;
  g.output('output', layout.product(productWeight(g, down, 'f32'), gated, addend));
  return g.build();
}

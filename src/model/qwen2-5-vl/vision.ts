import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { withAdapters } from '../adapters/adapted-product.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapters/adapter.ts';
import { attention, rotaryInputs, segmentInputs } from '../attention.ts';
import type { GraphForm } from '../graph-form.ts';
import { productDim } from '../../graph/dim.ts';
import type { VisionConfig } from '../model-config.ts';
import type { Product } from '../weights/modules.ts';
import { mergerProducts, visionBlockProducts } from './weight-names.ts';

/** Epsilon of the tower's norms, which the architecture fixes. */
const RMS_NORM_EPSILON = 1e-6;

/**
 * One vision block, whose segments make its attention windowed or full: `hidden [T, D]` to `output [T, D]`.
 *
 * @param dtype dtype of hidden rows, weights and adapters; rotary tables and segment biases are f32
 */
export function visionBlockGraph(
  config: VisionConfig,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
  form: GraphForm = 'composed',
): Graph {
  const { hiddenSize, heads, intermediateSize } = config;
  const headDim = hiddenSize / heads;
  const g = new GraphBuilder('vision-block');
  const hidden = g.input('hidden', dtype, ['T', hiddenSize]);
  const rotary = rotaryInputs(g, 'T', headDim);
  const segments = segmentInputs(g, form, 1);
  const parameter = (name: string, shape: readonly number[]): Value => g.input(name, dtype, shape);
  const norm1 = parameter('norm1', [hiddenSize]);
  const qkvWeight = parameter('qkvWeight', [3 * hiddenSize, hiddenSize]);
  const qkvBias = parameter('qkvBias', [3 * hiddenSize]);
  const projWeight = parameter('projWeight', [hiddenSize, hiddenSize]);
  const projBias = parameter('projBias', [hiddenSize]);
  const norm2 = parameter('norm2', [hiddenSize]);
  const gateUpWeight = parameter('gateUpWeight', [2 * intermediateSize, hiddenSize]);
  const gateUpBias = parameter('gateUpBias', [2 * intermediateSize]);
  const downWeight = parameter('downWeight', [hiddenSize, intermediateSize]);
  const downBias = parameter('downBias', [hiddenSize]);

  const products = visionBlockProducts(config);
  const project = (product: Product, x: Value, weight: Value, bias: Value): Value =>
    withAdapters(g, product, adapters, x, g.linear(x, weight, bias));
  const normed = g.rmsNorm(hidden, norm1, RMS_NORM_EPSILON);
  const qkv = project(products.qkv, normed, qkvWeight, qkvBias);
  const { attended } = attention(g, qkv, rotary, segments, {
    heads,
    kvHeads: heads,
    headDim,
  });
  const residual = g.add(hidden, project(products.proj, attended, projWeight, projBias));
  const renormed = g.rmsNorm(residual, norm2, RMS_NORM_EPSILON);
  const gateUp = project(products.gateUp, renormed, gateUpWeight, gateUpBias);
  const [gate, up] = g.split(gateUp, [intermediateSize, intermediateSize], 1) as [Value, Value];
  const gated = g.mul(g.silu(gate), up);
  g.output('output', g.add(residual, project(products.down, gated, downWeight, downBias)));
  return g.build();
}

/** The patch merger: each `mergeSize²` neighbouring rows become one row of the decoder's width. */
export function mergerGraph(
  config: VisionConfig,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
): Graph {
  const merged = config.hiddenSize * config.mergeSize ** 2;
  const g = new GraphBuilder('vision-merger');
  const hidden = g.input('hidden', dtype, ['T', config.hiddenSize]);
  const norm = g.input('norm', dtype, [config.hiddenSize]);
  const fc1Weight = g.input('fc1Weight', dtype, [merged, merged]);
  const fc1Bias = g.input('fc1Bias', dtype, [merged]);
  const fc2Weight = g.input('fc2Weight', dtype, [config.outHiddenSize, merged]);
  const fc2Bias = g.input('fc2Bias', dtype, [config.outHiddenSize]);
  const rows = g.reshape(g.rmsNorm(hidden, norm, RMS_NORM_EPSILON), [
    productDim(['T', 1 / config.mergeSize ** 2]),
    merged,
  ]);
  const { fc1, fc2 } = mergerProducts(config);
  const project = (product: Product, x: Value, weight: Value, bias: Value): Value =>
    withAdapters(g, product, adapters, x, g.linear(x, weight, bias));
  const inner = g.gelu(project(fc1, rows, fc1Weight, fc1Bias));
  g.output('embeddings', project(fc2, inner, fc2Weight, fc2Bias));
  return g.build();
}

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

/** A product of rows plus its bias, with its adapters. */
type Affine = (x: Value) => Value;

/** Declares a product's weight and bias as inputs. */
function affineOf(
  g: GraphBuilder,
  product: Product,
  adapters: GraphAdapters,
  dtype: FloatDType,
): Affine {
  const out = product.modules.reduce((sum, module) => sum + module.out, 0);
  const weight = g.input(`${product.name}Weight`, dtype, [out, product.inner]);
  const bias = g.input(`${product.name}Bias`, dtype, [out]);
  return (x) => withAdapters(g, product, adapters, x, g.linear(x, weight, bias));
}

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
  const affine = (product: Product): Affine => affineOf(g, product, adapters, dtype);
  const products = visionBlockProducts(config);
  const norm1 = g.input('norm1', dtype, [hiddenSize]);
  const [qkv, proj] = [affine(products.qkv), affine(products.proj)];
  const norm2 = g.input('norm2', dtype, [hiddenSize]);
  const [gateUp, down] = [affine(products.gateUp), affine(products.down)];

  const projected = qkv(g.rmsNorm(hidden, norm1, RMS_NORM_EPSILON));
  const sizes = { heads, kvHeads: heads, headDim };
  const { attended } = attention(g, projected, rotary, segments, sizes);
  const residual = g.add(hidden, proj(attended));
  const joined = gateUp(g.rmsNorm(residual, norm2, RMS_NORM_EPSILON));
  const [gate, up] = g.split(joined, [intermediateSize, intermediateSize], 1) as [Value, Value];
  g.output('output', g.add(residual, down(g.mul(g.silu(gate), up))));
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
  const products = mergerProducts(config);
  const [fc1, fc2] = [products.fc1, products.fc2].map((product) =>
    affineOf(g, product, adapters, dtype),
  ) as [Affine, Affine];
  const rows = g.reshape(g.rmsNorm(hidden, norm, RMS_NORM_EPSILON), [
    productDim(['T', 1 / config.mergeSize ** 2]),
    merged,
  ]);
  g.output('embeddings', fc2(g.gelu(fc1(rows))));
  return g.build();
}

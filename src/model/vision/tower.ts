/**
 * The graphs of vision towers: blocks, and mergers to rows of the decoder's width.
 *
 * @see Qwen2-VL, arXiv:2409.12191, and the technical reports of Qwen2.5-VL, arXiv:2502.13923, and Qwen3-VL,
 *   arXiv:2511.21631
 */
import { productDim } from '../../graph/dim.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { productWeight, withAdapters } from '../adapters/adapted-product.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapters/adapter.ts';
import { attention, rotaryInputs, segmentInputs } from '../attention.ts';
import type { GraphForm } from '../graph-form.ts';
import type { VisionConfig } from '../model-config.ts';
import type { Product } from '../weights/modules.ts';
import {
  blockProducts,
  mergerNormWidth,
  mergerProducts,
  type MergerNorm,
  type TowerTraits,
} from './tower-weights.ts';

/** Epsilon of the towers' norms, which the architectures fix. */
const NORM_EPSILON = 1e-6;

/** A graph of a tower, whose norms and products have their parameters as inputs. */
class TowerGraph extends GraphBuilder {
  readonly #traits: TowerTraits;
  readonly #adapters: GraphAdapters;
  readonly #dtype: FloatDType;

  constructor(name: string, traits: TowerTraits, adapters: GraphAdapters, dtype: FloatDType) {
    super(name);
    this.#traits = traits;
    this.#adapters = adapters;
    this.#dtype = dtype;
  }

  /** The norm of rows. */
  norm(name: string, x: Value, width: number): Value {
    const weight = this.#parameter(`${name}Weight`, width);
    return this.#traits.norm === 'rmsNorm'
      ? this.rmsNorm(x, weight, NORM_EPSILON)
      : this.layerNorm(x, weight, this.#parameter(`${name}Bias`, width), NORM_EPSILON);
  }

  /** A product of rows plus its bias, with its adapters. */
  affine(product: Product, x: Value): Value {
    const weight = productWeight(this, product, this.#dtype);
    const bias = this.#parameter(`${product.name}Bias`, weight.shape[0] as number);
    return withAdapters(this, product, this.#adapters, x, this.linear(x, weight, bias));
  }

  #parameter(name: string, ...shape: readonly number[]): Value {
    return this.input(name, this.#dtype, shape);
  }
}

/**
 * One block, whose segments make its attention windowed or full: `hidden [T, D]` to `output [T, D]`.
 *
 * @param dtype dtype of hidden rows, weights and adapters; rotary tables and segment biases are f32
 */
export function blockGraph(
  traits: TowerTraits,
  config: VisionConfig,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
  form: GraphForm = 'composed',
): Graph {
  const { hiddenSize, heads, intermediateSize, activation } = config;
  const headDim = hiddenSize / heads;
  const g = new TowerGraph('vision-block', traits, adapters, dtype);
  const hidden = g.input('hidden', dtype, ['T', hiddenSize]);
  const rotary = rotaryInputs(g, 'T', headDim);
  const segments = segmentInputs(g, form, 1);
  const { qkv, proj, fc1, fc2 } = blockProducts(traits, config);
  const projected = g.affine(qkv, g.norm('norm1', hidden, hiddenSize));
  const sizes = { heads, kvHeads: heads, headDim };
  const { attended } = attention(g, projected, rotary, segments, sizes);
  const residual = g.add(hidden, g.affine(proj, attended));
  const inner = g.affine(fc1, g.norm('norm2', residual, hiddenSize));
  const activated = (): Value => {
    if (fc1.modules.length === 1) return g[activation](inner);
    const [gate, up] = g.split(inner, [intermediateSize, intermediateSize], 1) as [Value, Value];
    return g.mul(g[activation](gate), up);
  };
  g.output('output', g.add(residual, g.affine(fc2, activated())));
  return g.build();
}

/**
 * A merger: each `mergeSize²` neighbouring rows of `hidden [T, D]` become one row of the decoder's width.
 *
 * The rows of the last merger, whose norm stands before they are joined, are `output`. Those of a merger after one
 * of `deepstackBlocks` are `features`, for a layer of the decoder, and `output` is `hidden` then.
 */
export function mergerGraph(
  traits: TowerTraits,
  config: VisionConfig,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
  norm: MergerNorm = 'before',
): Graph {
  const { hiddenSize, mergeSize } = config;
  const isLast = norm === 'before';
  const g = new TowerGraph(isLast ? 'vision-merger' : 'vision-deepstack', traits, adapters, dtype);
  const hidden = g.input('hidden', dtype, ['T', hiddenSize]);
  const square = mergeSize ** 2;
  const joined = (x: Value): Value =>
    g.reshape(x, [productDim(['T', 1 / square]), hiddenSize * square]);
  const normed = (x: Value): Value => g.norm('norm', x, mergerNormWidth(config, norm));
  const rows = isLast ? joined(normed(hidden)) : normed(joined(hidden));
  const { fc1, fc2 } = mergerProducts(traits, config);
  g.output(isLast ? 'output' : 'features', g.affine(fc2, g.gelu(g.affine(fc1, rows))));
  if (!isLast) {
    // An output comes from a node.
    g.output('output', g.reshape(g.reshape(hidden, ['T', hiddenSize, 1]), ['T', hiddenSize]));
  }
  return g.build();
}

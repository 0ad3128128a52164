/**
 * The graphs of a vision tower with LayerNorm and plain MLPs, which Qwen2-VL and Qwen3-VL share.
 *
 * @see Qwen2-VL, arXiv:2409.12191, and the Qwen3-VL technical report, arXiv:2511.21631
 */
import { productDim } from '../../graph/dim.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { withAdapters } from '../adapters/adapted-product.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapters/adapter.ts';
import type { VisionGraphs } from '../architecture.ts';
import { attention, rotaryInputs, segmentInputs } from '../attention.ts';
import type { GraphForm } from '../graph-form.ts';
import type { VisionConfig } from '../model-config.ts';
import type { Product } from '../weights/modules.ts';
import {
  blockProducts,
  mergerNormWidth,
  mergerProducts,
  type MergerNorm,
  type TowerNames,
} from './tower-weights.ts';

/** Epsilon of the towers' norms, which the architectures fix. */
const NORM_EPSILON = 1e-6;

/** A graph whose modules have weights and biases. */
class AffineGraph extends GraphBuilder {
  readonly #adapters: GraphAdapters;
  readonly #dtype: FloatDType;

  constructor(name: string, adapters: GraphAdapters, dtype: FloatDType) {
    super(name);
    this.#adapters = adapters;
    this.#dtype = dtype;
  }

  /** The norm of rows, with its parameters as inputs. */
  norm(name: string, x: Value, width: number): Value {
    const [weight, bias] = [
      this.#parameter(`${name}Weight`, width),
      this.#parameter(`${name}Bias`, width),
    ];
    return this.layerNorm(x, weight, bias, NORM_EPSILON);
  }

  /** A product of rows plus its bias, with its parameters and adapters as inputs. */
  affine(product: Product, x: Value): Value {
    const { out } = product.modules[0]!;
    const weight = this.#parameter(`${product.name}Weight`, out, product.inner);
    const bias = this.#parameter(`${product.name}Bias`, out);
    return withAdapters(this, product, this.#adapters, x, this.linear(x, weight, bias));
  }

  #parameter(name: string, ...shape: readonly number[]): Value {
    return this.input(name, this.#dtype, shape);
  }
}

/** One block, whose attention is full within its segments: `hidden [T, D]` to `output [T, D]`. */
function blockGraph(
  names: TowerNames,
  config: VisionConfig,
  adapters: GraphAdapters,
  dtype: FloatDType,
  form: GraphForm,
): Graph {
  const { hiddenSize, heads } = config;
  const headDim = hiddenSize / heads;
  const g = new AffineGraph('vision-block', adapters, dtype);
  const hidden = g.input('hidden', dtype, ['T', hiddenSize]);
  const rotary = rotaryInputs(g, 'T', headDim);
  const segments = segmentInputs(g, form, 1);
  const { qkv, proj, fc1, fc2 } = blockProducts(names, config);
  const projected = g.affine(qkv, g.norm('norm1', hidden, hiddenSize));
  const { attended } = attention(g, projected, rotary, segments, {
    heads,
    kvHeads: heads,
    headDim,
  });
  const residual = g.add(hidden, g.affine(proj, attended));
  const inner = g.affine(fc1, g.norm('norm2', residual, hiddenSize));
  g.output('output', g.add(residual, g.affine(fc2, g[config.activation](inner))));
  return g.build();
}

/** A merger's rows: each `mergeSize²` neighbouring rows of `hidden [T, D]` become one of the decoder's width. */
function merged(
  g: AffineGraph,
  names: TowerNames,
  hidden: Value,
  config: VisionConfig,
  norm: MergerNorm,
): Value {
  const square = config.mergeSize ** 2;
  const joined = (x: Value): Value =>
    g.reshape(x, [productDim(['T', 1 / square]), config.hiddenSize * square]);
  const normed = (x: Value): Value => g.norm('norm', x, mergerNormWidth(config, norm));
  const rows = norm === 'before' ? joined(normed(hidden)) : normed(joined(hidden));
  const { fc1, fc2 } = mergerProducts(names, config);
  return g.affine(fc2, g.gelu(g.affine(fc1, rows)));
}

/** The graphs of a tower whose modules have these names. */
export function towerGraphs(
  names: TowerNames,
): Pick<VisionGraphs, 'block' | 'merger' | 'deepstack'> {
  return {
    block: (config, adapters = NO_ADAPTERS, dtype = 'f32', form = 'composed') =>
      blockGraph(names, config, adapters, dtype, form),
    merger(config, adapters = NO_ADAPTERS, dtype = 'f32') {
      const g = new AffineGraph('vision-merger', adapters, dtype);
      const hidden = g.input('hidden', dtype, ['T', config.hiddenSize]);
      g.output('embeddings', merged(g, names, hidden, config, 'before'));
      return g.build();
    },
    deepstack(config, adapters = NO_ADAPTERS, dtype = 'f32') {
      const { hiddenSize } = config;
      const g = new AffineGraph('vision-deepstack', adapters, dtype);
      const hidden = g.input('hidden', dtype, ['T', hiddenSize]);
      g.output('features', merged(g, names, hidden, config, 'behind'));
      // An output comes from a node.
      g.output('output', g.reshape(g.reshape(hidden, ['T', hiddenSize, 1]), ['T', hiddenSize]));
      return g.build();
    },
  };
}

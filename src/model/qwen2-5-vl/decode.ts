import { GraphBuilder } from '../../graph/builder.ts';
import type { Dim, Graph, Value } from '../../graph/ir.ts';
import { productDim } from '../../graph/shape.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { adapterProduct, onRows, type AdapterForm } from '../adapted-product.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapter.ts';
import type { TextConfig } from './config.ts';
import { finishParameters, projectionWeights } from './decoder.ts';
import { layerProducts, type Product } from './modules.ts';

/**
 * How the activations of one token of each of `B` sequences lie.
 *
 * `columns` is `[features, B]`: a product is then `W x`, the weight on the left, whose rows ONNX Runtime
 * reads as they are. `rows` is `[B, features]` with products `x Wᵀ`, for which it first packs every
 * weight anew; measured at B = 32 that makes a product take 1.5 times as long, and from B = 8 on longer.
 * For a single sequence it is the faster by half.
 */
export type DecodeForm = 'rows' | 'columns';

/** The sequences from which on columns are faster. */
export const FEWEST_COLUMNS = 3;

/** Products and changes between rows and a form. */
class Sheet {
  readonly #g: GraphBuilder;
  readonly #form: DecodeForm;

  constructor(g: GraphBuilder, form: DecodeForm) {
    this.#g = g;
    this.#form = form;
  }

  /** The shape of `features` activations of `B` sequences. */
  shape(features: number): readonly Dim[] {
    return this.#form === 'rows' ? ['B', features] : [features, 'B'];
  }

  /** The shape of one number a feature, the same for every sequence. */
  perFeature(features: number): readonly Dim[] {
    return this.#form === 'rows' ? [features] : [features, 1];
  }

  /** `weight [out, in]` times `rows [B, in]`, plus `addend`, in this form; `to` as of any product. */
  ofRows(weight: Value, rows: Value, addend?: Value, to?: 'f32'): Value {
    const options = { transB: true, ...(addend && { c: addend }), ...(to && { to }) };
    const g = this.#g;
    return this.#form === 'rows' ? g.gemm(rows, weight, options) : g.gemm(weight, rows, options);
  }

  /** Adapters on activations that are given as rows or in this form; what they add is in this form. */
  adapters(x: Value, given: DecodeForm = this.#form): AdapterForm {
    const g = this.#g;
    if (this.#form === 'rows') return onRows(g, x);
    return {
      dtype: x.dtype,
      axis: 0,
      shrink: (a, scale) => g.gemm(a, x, { transB: given === 'rows', alpha: scale }),
      grow: (b, low) => g.gemm(b, low),
    };
  }

  /** `weight [out, in]` times activations in this form, plus `addend`. */
  product(weight: Value, inner: Value, addend: Value): Value {
    if (this.#form === 'rows') return this.#g.gemm(inner, weight, { transB: true, c: addend });
    return this.#g.gemm(weight, inner, { c: addend });
  }

  /** Activations as rows `[B, features]`. */
  toRows(activations: Value): Value {
    return this.#form === 'rows' ? activations : this.#g.transpose(activations, [1, 0]);
  }
}

/**
 * What the next token of each sequence asks of a layer's attention, and adds to its cache, not rotated yet.
 *
 * Inputs: `hidden` in the given form, and the projection's parameters, `qkvBias` with a last axis of 1 in
 * columns. Output: `projected [B, (H + 2K)·d]`, queries, keys and values. All are of one dtype.
 */
export function decodeProjectGraph(
  config: TextConfig,
  form: DecodeForm,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
): Graph {
  const g = new GraphBuilder(`decode-project-${form}`);
  const sheet = new Sheet(g, form);
  const hidden = g.input('hidden', dtype, sheet.shape(config.hiddenSize));
  const { inputNorm, qkvWeight } = projectionWeights(g, config, dtype);
  const qkvBias = g.input('qkvBias', dtype, sheet.perFeature(qkvWeight.shape[0] as number));
  const normed = g.rmsNorm(sheet.toRows(hidden), inputNorm, config.rmsNormEps);
  const { qkv } = layerProducts(config);
  const added = adapterProduct(g, qkv, adapters, sheet.adapters(normed, 'rows'));
  const biased = sheet.ofRows(qkvWeight, normed, qkvBias);
  g.output('projected', sheet.toRows(added === undefined ? biased : g.add(biased, added)));
  return g.build();
}

/**
 * The rest of a layer: attention over the cache, and the gated MLP.
 *
 * Inputs: `hidden` in the given form, `query [B·K, H/K, d + 1]`, rotated, by its groups, whose last feature
 * is 1 for the bias that the cache's keys have; the cache's `keys [B·K, C, d + 1]` and `values [B·K, C, d]`;
 * the parameters. Output: `output`, as `hidden`. All are of one dtype; scores are f32.
 */
export function decodeAttendGraph(
  config: TextConfig,
  form: DecodeForm,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
): Graph {
  const { headDim, heads, hiddenSize, kvHeads, rmsNormEps } = config;
  const g = new GraphBuilder(`decode-attend-${form}`);
  const sheet = new Sheet(g, form);
  const groups = productDim(['B', kvHeads]);
  const hidden = g.input('hidden', dtype, sheet.shape(hiddenSize));
  const query = g.input('query', dtype, [groups, heads / kvHeads, headDim + 1]);
  const keys = g.input('keys', dtype, [groups, 'C', headDim + 1]);
  const values = g.input('values', dtype, [groups, 'C', headDim]);
  const { outputWeight, postNorm, gateWeight, upWeight, downWeight } = finishParameters(
    g,
    config,
    dtype,
  );
  const scores = g.matMul(query, keys, { transB: true, alpha: scoreScaleOf(config), to: 'f32' });
  const weights = g.cast(g.softmax(scores, -1), dtype);
  const attended = g.reshape(g.matMul(weights, values), ['B', heads * headDim]);
  const products = layerProducts(config);
  // A product takes what its adapters add as its addend, in place of one that it has already.
  const adapted = (product: Product, form: AdapterForm, addend?: Value): Value | undefined => {
    const added = adapterProduct(g, product, adapters, form);
    return added === undefined || addend === undefined ? (added ?? addend) : g.add(addend, added);
  };
  const ofRows = (product: Product, weight: Value, rows: Value, addend?: Value): Value =>
    sheet.ofRows(weight, rows, adapted(product, sheet.adapters(rows, 'rows'), addend));
  const residual = ofRows(products.output, outputWeight, attended, hidden);
  const normed = g.rmsNorm(sheet.toRows(residual), postNorm, rmsNormEps);
  const gate = g.silu(ofRows(products.gate, gateWeight, normed));
  const up = ofRows(products.up, upWeight, normed);
  const gated = g.mul(gate, up);
  const addend = adapted(products.down, sheet.adapters(gated), residual)!;
  g.output('output', sheet.product(downWeight, gated, addend));
  return g.build();
}

/** What the scores of queries and keys are multiplied by. */
export function scoreScaleOf({ headDim }: TextConfig): number {
  return 1 / Math.sqrt(headDim);
}

/**
 * The token distribution after each of `B` hidden rows or columns:
 * `softmax(norm(hidden) · headᵀ / temperature + logitBias)`.
 *
 * Inputs: `hidden` in the given form, `logitBias f32 [V]` or, in columns, `[V, 1]`, `inverseTemperature f32 [B, 1]`,
 * the head's parameters. Output: `probabilities f32 [B, V]`.
 *
 * @param dtype of hidden rows and weights; logits are f32
 */
export function distributionGraph(
  config: TextConfig,
  form: DecodeForm,
  dtype: FloatDType = 'f32',
): Graph {
  const g = new GraphBuilder(`distribution-${form}`);
  const sheet = new Sheet(g, form);
  const hidden = g.input('hidden', dtype, sheet.shape(config.hiddenSize));
  const norm = g.input('finalNorm', dtype, [config.hiddenSize]);
  const head = g.input('headWeight', dtype, [config.vocabSize, config.hiddenSize]);
  const bias = g.input('logitBias', 'f32', sheet.perFeature(config.vocabSize));
  const inverseTemperature = g.input('inverseTemperature', 'f32', ['B', 1]);
  // The temperature divides the rows rather than the logits, which are far more.
  const tempered = g.inFloat32([sheet.toRows(hidden), norm], (rows, weight) =>
    g.mul(g.rmsNorm(rows, weight, config.rmsNormEps), inverseTemperature),
  );
  const logits = sheet.ofRows(head, tempered, bias, 'f32');
  g.output('probabilities', g.softmax(sheet.toRows(logits), -1));
  return g.build();
}

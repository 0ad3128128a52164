/** The mixture of experts of a decoder layer, as a part of its graphs. */
import type { GraphBuilder } from '../../graph/builder.ts';
import type { Dim, Value } from '../../graph/ir.ts';
import { productDim } from '../../graph/dim.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { productWeight } from '../adapters/adapted-product.ts';
import { adaptedModules, adapterInput, type GraphAdapters } from '../adapters/adapter.ts';
import type { ExpertsConfig, TextConfig } from '../model-config.ts';
import type { Product } from '../weights/modules.ts';
import { expertProducts, stackedInput, type MlpPart } from './weight-names.ts';

/** Rows of tokens, one for each expert that a token goes to, in the order of the experts. */
interface Routing {
  /** Rows of each expert, i64 `[E]`. */
  readonly counts: Value;
  /** Index in the order of tokens of each row in the order of experts, i64 `[T · k]`; a token's rows are adjacent. */
  readonly order: Value;
  /** Index in the order of experts of each row in the order of tokens, i64 `[T · k]`. */
  readonly inverse: Value;
  /** Weight of each row, in the order of experts, f32 `[T · k, 1]`. */
  readonly weights: Value;
}

/** Rows of tokens in the order of their experts, as an expert's MLP takes them. */
interface ExpertRows extends Pick<Routing, 'counts' | 'weights'> {
  /** `[T · k, D]`. */
  readonly x: Value;
}

/**
 * A mixture of experts: `x [T, D]` to the outputs of the k experts that each token goes to, weighted by a softmax over
 * the router's logits, `[T, D]`.
 *
 * Weights are multiplied before the last product of an expert, where rows are narrower; transformers does so after it.
 *
 * @see Qwen3 Technical Report, arXiv:2505.09388, section 2; no expert has a bound of tokens, and none is dropped
 */
export function mixture(
  g: GraphBuilder,
  x: Value,
  config: TextConfig,
  experts: ExpertsConfig,
  adapters: GraphAdapters,
): Value {
  const { perToken } = experts;
  const { counts, order, inverse, weights } = routing(g, x, experts);
  const rows = {
    x: g.spreadRows(x, order, inverse, perToken),
    counts,
    weights: g.cast(weights, x.dtype),
  };
  const results = experts.isStacked
    ? stackedExperts(g, rows, experts)
    : expertsApart(g, rows, config, experts, adapters);
  return g.joinRows(results, order, inverse, perToken);
}

/** The experts of each token, by `routerWeight [E, D]`. Gradients reach the router by the weights alone. */
function routing(
  g: GraphBuilder,
  x: Value,
  { count, perToken, isRenormed }: ExpertsConfig,
): Routing {
  const router = g.input('routerWeight', x.dtype, [count, x.shape[1]!]);
  const probabilities = g.softmax(g.cast(g.linear(x, router), 'f32'), -1);
  const [, chosen] = g.topK(probabilities, perToken); // [T, k]
  const kept = g.gatherElements(probabilities, chosen, 1);
  const ofToken = isRenormed ? g.div(kept, g.reduceSum(kept, [1], true)) : kept;
  const rows = productDim(chosen.shape);
  const [counts, order, inverse] = g.rowOrder(g.reshape(chosen, [rows]), count);
  const weights = g.reorderRows(g.reshape(ofToken, [rows, 1]), order, inverse);
  return { counts, order, inverse, weights };
}

/** Inner rows of an expert between its products: gated, and weighted. */
function gated(g: GraphBuilder, gate: Value, up: Value, weights: Value): Value {
  return g.mul(g.mul(g.silu(gate), up), weights);
}

/** The gated MLP of each row's expert, by weights that are parts of one tensor. */
function stackedExperts(
  g: GraphBuilder,
  { x, counts, weights }: ExpertRows,
  { count, intermediateSize }: ExpertsConfig,
): Value {
  const width = x.shape[1]!;
  const product = (part: 'gateUp' | 'down', from: Value, shape: readonly Dim[]): Value => {
    const ofExperts = Array.from({ length: count }, (_, expert) =>
      g.input(stackedInput(part, expert), x.dtype, shape),
    );
    return g.groupedProduct(from, counts, ofExperts);
  };
  const joined = product('gateUp', x, [width, 2 * intermediateSize]);
  const [gate, up] = g.split(joined, [intermediateSize, intermediateSize], 1);
  return product('down', gated(g, gate!, up!, weights), [intermediateSize, width]);
}

/** The gated MLP of each row's expert, by weights and adapters that each expert has for itself. */
function expertsApart(
  g: GraphBuilder,
  { x, counts, weights }: ExpertRows,
  config: TextConfig,
  experts: ExpertsConfig,
  adapters: GraphAdapters,
): Value {
  const products = expertProducts(config, experts);
  const project = (part: MlpPart, from: Value): Value => {
    const own = products.map((expert) => expert[part]);
    return adaptedProduct(g, own, from, counts, adapters);
  };
  return project('down', gated(g, project('gate', x), project('up', x), weights));
}

/** A product of rows by their experts' weights, with adapters where an expert has them. */
function adaptedProduct(
  g: GraphBuilder,
  products: readonly Product[],
  x: Value,
  counts: Value,
  adapters: GraphAdapters,
): Value {
  const dtype = x.dtype as FloatDType;
  const weights = products.map((product) => productWeight(g, product, dtype));
  const transB = { transB: true };
  const result = g.groupedProduct(x, counts, weights, transB);
  const { rank, scale } = adapters;
  const isAdapted = (product: Product): boolean => adaptedModules(product, adapters).length > 0;
  if (!products.some(isAdapted)) return result;
  // Experts without an adapter have one of zeros.
  const factors = (name: (product: Product) => string, size: (product: Product) => Dim[]) =>
    products.map((product) =>
      isAdapted(product)
        ? g.input(name(product), dtype, size(product))
        : g.zeros(dtype, size(product)),
    );
  const a = factors(adapterInput.a, ({ inner }) => [rank, inner]);
  const b = factors(
    ({ modules: [module] }) => adapterInput.b(module!.name),
    ({ modules: [module] }) => [module!.out, rank],
  );
  const low = g.mul(g.groupedProduct(x, counts, a, transB), g.scalar(scale, dtype));
  return g.add(result, g.groupedProduct(low, counts, b, transB));
}

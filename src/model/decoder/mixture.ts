/** The mixture of experts of a decoder layer, as a part of its graphs. */
import type { GraphBuilder } from '../../graph/builder.ts';
import type { Dim, Value } from '../../graph/ir.ts';
import { productDim } from '../../graph/dim.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { adaptedModules, adapterInput, type GraphAdapters } from '../adapters/adapter.ts';
import type { ExpertsConfig, TextConfig } from '../model-config.ts';
import type { Product } from '../weights/modules.ts';
import { expertInput, expertProducts, type MlpPart } from './weight-names.ts';

/** Rows of tokens, one for each expert that a token goes to, in the order of the experts. */
interface Routing {
  /** Number of rows: tokens times experts of a token. */
  readonly rows: Dim;
  /** Rows of each expert, i64 `[E]`. */
  readonly counts: Value;
  /** The row of tokens, in which those of a token are adjacent, of each row of experts, i64 `[rows]`. */
  readonly order: Value;
  /** The row of experts of each row of tokens, i64 `[rows]`. */
  readonly inverse: Value;
  /** Weights of a token's experts, f32 `[T, k]`. */
  readonly weights: Value;
}

/**
 * A mixture of experts: `x [T, D]` to the outputs of the k experts that each token goes to, weighted by a softmax over
 * the router's logits, `[T, D]`.
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
  const [tokens, width] = x.shape as [Dim, number];
  const { perToken } = experts;
  const { rows, counts, order, inverse, weights } = routing(g, x, experts);
  // Every row has a place, there and back.
  const unfilled = { isZeroFilled: false, isGradientZeroFilled: false };
  const spread = g.expand(g.unsqueeze(x, [1]), [tokens, perToken, width]);
  const sorted = g.permuteRows(g.reshape(spread, [rows, width]), order, inverse, unfilled);
  const results = experts.isStacked
    ? stackedExperts(g, sorted, counts, experts)
    : expertsApart(g, sorted, counts, config, experts, adapters);
  const outputs = g.permuteRows(results, inverse, order, unfilled);
  const factors = g.cast(g.unsqueeze(weights, [2]), x.dtype);
  const parts = g.reshape(outputs, [tokens, perToken, width]);
  return g.reduceSum(g.mul(parts, factors), [1]);
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
  const weights = isRenormed ? g.div(kept, g.reduceSum(kept, [1], true)) : kept;

  const rows = productDim(chosen.shape);
  const expertOf = g.reshape(chosen, [rows]);
  const ones = g.expand(g.scalar(1), [rows]);
  const counts = g.cast(g.scatterElements(g.zeros('f32', [count]), expertOf, ones, 0), 'i64');
  const order = places(g, expertOf);
  return { rows, counts, order, inverse: places(g, order), weights };
}

/** Places of whole numbers `[N]` in rising order, i64 `[N]`; equals stay in theirs. */
function places(g: GraphBuilder, numbers: Value): Value {
  return g.topK(g.neg(g.cast(numbers, 'f32')), numbers.shape[0]!)[1];
}

/** The gated MLP of each row's expert, by weights that are parts of one tensor. */
function stackedExperts(
  g: GraphBuilder,
  x: Value,
  counts: Value,
  { count, intermediateSize }: ExpertsConfig,
): Value {
  const width = x.shape[1]!;
  const product = (part: 'gateUp' | 'down', from: Value, shape: readonly Dim[]): Value => {
    const weights = Array.from({ length: count }, (_, expert) =>
      g.input(expertInput(part, expert), x.dtype, shape),
    );
    return g.groupedProduct(from, counts, weights);
  };
  const joined = product('gateUp', x, [width, 2 * intermediateSize]);
  const [gate, up] = g.split(joined, [intermediateSize, intermediateSize], 1);
  return product('down', g.mul(g.silu(gate!), up!), [intermediateSize, width]);
}

/** The gated MLP of each row's expert, by weights and adapters that each expert has for itself. */
function expertsApart(
  g: GraphBuilder,
  x: Value,
  counts: Value,
  config: TextConfig,
  experts: ExpertsConfig,
  adapters: GraphAdapters,
): Value {
  const products = expertProducts(config, experts);
  const project = (part: MlpPart, from: Value): Value => {
    const own = products.map((expert) => expert[part]);
    return adaptedProduct(g, part, own, from, counts, adapters);
  };
  return project('down', g.mul(g.silu(project('gate', x)), project('up', x)));
}

/** A product of rows by their experts' weights, with adapters where an expert has them. */
function adaptedProduct(
  g: GraphBuilder,
  part: MlpPart,
  products: readonly Product[],
  x: Value,
  counts: Value,
  adapters: GraphAdapters,
): Value {
  const dtype = x.dtype as FloatDType;
  const shape = ({ inner, modules }: Product): readonly Dim[] => [modules[0]!.out, inner];
  const weights = products.map((product, expert) =>
    g.input(expertInput(part, expert), dtype, shape(product)),
  );
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

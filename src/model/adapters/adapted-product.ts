import type { GraphBuilder } from '../../graph/builder.ts';
import type { Value } from '../../graph/ir.ts';
import type { DType } from '../../tensor/dtype.ts';
import { adaptedModules, adapterInput, type GraphAdapters } from './adapter.ts';
import type { Product } from '../weights/products.ts';

/** How a graph multiplies by a factor of an adapter, which may lie on either side of its activations. */
export interface AdapterForm {
  /** Of the activations, and so of the factors. */
  readonly dtype: DType;
  /** The axis of features: 1 in `[rows, features]`, 0 in `[features, columns]`. */
  readonly axis: 0 | 1;
  /** `a [R, in]` times the product's input, times `scale`. */
  readonly shrink: (a: Value, scale: number) => Value;
  /** `b [out, rank]` times activations of `rank` features. */
  readonly grow: (b: Value, low: Value) => Value;
}

/** Adapters on rows `x [T, in]`: `x Aᵀ`, then `… Bᵀ`. */
export function onRows(g: GraphBuilder, x: Value): AdapterForm {
  return {
    dtype: x.dtype,
    axis: 1,
    shrink: (a, scale) => g.gemm(x, a, { transB: true, alpha: scale }),
    grow: (b, low) => g.gemm(low, b, { transB: true }),
  };
}

/**
 * What the adapters add to a product; declares them as inputs of the graph. Undefined where none of the
 * product's modules has any.
 */
export function adapterProduct(
  g: GraphBuilder,
  product: Product,
  adapters: GraphAdapters,
  { dtype, axis, shrink, grow }: AdapterForm,
): Value | undefined {
  const modules = adaptedModules(product, adapters);
  if (modules.length === 0) return undefined;
  const { rank, scale } = adapters;
  const a = g.input(adapterInput.a(product), dtype, [rank * modules.length, product.inner]);
  const ranks = modules.map(() => rank);
  const lows = g.split(shrink(a, scale), ranks, axis);
  const grown = new Map(
    modules.map(({ name, out }, i) => {
      const b = g.input(adapterInput.b(name), dtype, [out, rank]);
      return [name, grow(b, lows[i]!)] as const;
    }),
  );
  const [{ shape }] = [...grown.values()] as [Value];
  const parts = product.modules.map(({ name, out }) => {
    const blank = shape.map((dim, i) => (i === axis ? out : dim));
    return grown.get(name) ?? g.zeros(dtype, blank);
  });
  return g.concat(parts, axis);
}

/** A product of rows with its adapters' part added. */
export function withAdapters(
  g: GraphBuilder,
  product: Product,
  adapters: GraphAdapters,
  x: Value,
  result: Value,
): Value {
  const added = adapterProduct(g, product, adapters, onRows(g, x));
  return added === undefined ? result : g.add(result, added);
}

/** Products of a graph with the low-rank terms of adapters: `x Wᵀ + scale · (x Aᵀ) Bᵀ`. */
import type { GraphBuilder } from '../../graph/builder.ts';
import type { Value } from '../../graph/ir.ts';
import type { DType } from '../../tensor/dtype.ts';
import { adaptedModules, adapterInput, type GraphAdapters } from './adapter.ts';
import { weightInput, type Product } from '../weights/modules.ts';

/** Products of activations with an adapter's two factors, for activations in rows or in columns. */
export interface AdapterForm {
  /** Dtype of the activations and of the factors. */
  readonly dtype: DType;
  /** Axis of features: 1 in `[rows, features]`, 0 in `[features, columns]`. */
  readonly axis: 0 | 1;
  /** `a [R, in]` times the product's input, times `scale`. */
  readonly shrink: (a: Value, scale: number) => Value;
  /** `b [out, rank]` times activations of `rank` features. */
  readonly grow: (b: Value, low: Value) => Value;
}

/** The products with rows `x [T, in]`: `x Aᵀ`, and `(x Aᵀ) Bᵀ`. */
export function onRows(g: GraphBuilder, x: Value): AdapterForm {
  return {
    dtype: x.dtype,
    axis: 1,
    shrink: (a, scale) => g.gemm(x, a, { transB: true, alpha: scale }),
    grow: (b, low) => g.gemm(low, b, { transB: true }),
  };
}

/**
 * The addend of a product's adapters, undefined where none of its linear modules has one.
 *
 * Declares the adapters as inputs of the graph.
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

/** Declares a product's weight `[out, in]` as an input. */
export function productWeight(g: GraphBuilder, product: Product, dtype: DType): Value {
  const out = product.modules.reduce((sum, module) => sum + module.out, 0);
  return g.input(weightInput(product), dtype, [out, product.inner]);
}

/** A product of rows with its adapters; declares its weight too. */
export function project(
  g: GraphBuilder,
  product: Product,
  adapters: GraphAdapters,
  x: Value,
): Value {
  const weight = productWeight(g, product, x.dtype);
  return withAdapters(g, product, adapters, x, g.linear(x, weight));
}

/** A product of rows with the addend of its adapters. */
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

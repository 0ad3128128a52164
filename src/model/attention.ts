import type { GraphBuilder } from '../graph/builder.ts';
import type { Dim, Value } from '../graph/ir.ts';
import { productDim } from '../graph/shape.ts';

/** Heads of an attention: `heads` queries share `kvHeads` keys in equal groups. */
export interface AttentionHeads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** The graph inputs that say where tokens stand and whom they see; see `SegmentLayout`. */
export interface SegmentInputs {
  readonly gridIndex: Value; // i64 [B, S]
  readonly packedIndex: Value; // i64 [T]
  readonly bias: Value; // f32 [B, 1, S, S]
}

/** Declares the segment inputs of a block. */
export function segmentInputs(g: GraphBuilder): SegmentInputs {
  return {
    gridIndex: g.input('segments.gridIndex', 'i64', ['B', 'S']),
    packedIndex: g.input('segments.packedIndex', 'i64', ['T']),
    bias: g.input('segments.bias', 'f32', ['B', 1, 'S', 'S']),
  };
}

/**
 * Scaled dot-product attention over packed tokens, each within its segment.
 *
 * Queries of one key-value group are stacked along the query axis, so keys are never repeated.
 *
 * @param query `[T, heads, d]`, rotated
 * @param key `[T, kvHeads, d]`, rotated
 * @param value `[T, kvHeads, d]`
 * @returns `[T, heads · d]`
 */
export function packedAttention(
  g: GraphBuilder,
  { query, key, value }: { query: Value; key: Value; value: Value },
  segments: SegmentInputs,
  { heads, kvHeads, headDim }: AttentionHeads,
): Value {
  const group = heads / kvHeads;
  const stackedQueries = productDim(['S', group]);
  const gridIndex = g.reshape(segments.gridIndex, [productDim(['B', 'S'])]);
  // Padding holds any finite row: the bias hides it as a key, and as a query its gradient is zero.
  const toGrid = (x: Value, count: number): Value => {
    const grid = g.permuteRows(
      g.reshape(x, ['T', count * headDim]),
      gridIndex,
      segments.packedIndex,
      { isZeroFilled: false, isGradientZeroFilled: false },
    ); // [B · S, count · d]
    const split = g.reshape(grid, ['B', 'S', count, headDim]);
    return g.transpose(split, [0, 2, 1, 3]); // [B, count, S, d]
  };
  const stack = (x: Value, last: Dim): Value =>
    group === 1 ? x : g.reshape(x, ['B', kvHeads, stackedQueries, last]);
  const unstack = (x: Value, last: Dim): Value =>
    group === 1 ? x : g.reshape(x, ['B', heads, 'S', last]);
  const stackedQuery = stack(toGrid(query, heads), headDim); // [B, K, group · S, d]
  const scores = g.matMul(stackedQuery, toGrid(key, kvHeads), {
    transB: true,
    alpha: 1 / Math.sqrt(headDim),
  }); // [B, K, group · S, S]
  const biased = g.add(unstack(scores, 'S'), segments.bias); // [B, heads, S, S]
  const mixed = g.attend(stack(biased, 'S'), toGrid(value, kvHeads)); // [B, K, group · S, d]
  const perHead = g.transpose(unstack(mixed, headDim), [0, 2, 1, 3]); // [B, S, heads, d]
  const rows = g.reshape(perHead, [productDim(['B', 'S']), heads * headDim]);
  return g.permuteRows(rows, segments.packedIndex, gridIndex, { isZeroFilled: false });
}

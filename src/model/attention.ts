import type { GraphBuilder } from '../graph/builder.ts';
import type { Value } from '../graph/ir.ts';
import { differenceDim, productDim } from '../graph/shape.ts';

/** Heads of an attention: `heads` queries share `kvHeads` keys in equal groups. */
export interface AttentionHeads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** The graph inputs that say where tokens stand and whom they see; see `SegmentLayout`. */
export interface SegmentInputs {
  readonly gridIndex: Value; // i64 [n, B, C]
  readonly packedIndex: Value; // i64 [T]
  readonly biases: readonly Value[]; // n times f32 [B, 1, C, (i + 1) · C]
}

/** Declares the segment inputs of a block whose attention is computed in `strips`. */
export function segmentInputs(g: GraphBuilder, strips: number): SegmentInputs {
  return {
    gridIndex: g.input('segments.gridIndex', 'i64', [strips, 'B', 'C']),
    packedIndex: g.input('segments.packedIndex', 'i64', ['T']),
    biases: Array.from({ length: strips }, (_, i) =>
      g.input(`segments.bias.${i}`, 'f32', ['B', 1, 'C', productDim([i + 1, 'C'])]),
    ),
  };
}

/**
 * Scaled dot-product attention over packed tokens, each within its segment, strip by strip.
 *
 * Queries of one key-value group are stacked along the query axis, so keys are never repeated. Scores are f32, whatever
 * the dtype of queries, keys and values.
 *
 * @param query `[T, heads, d]`, rotated
 * @param key `[T, kvHeads, d]`, rotated
 * @param value `[T, kvHeads, d]`
 * @returns `[T, heads · d]`
 */
export function packedAttention(
  g: GraphBuilder,
  { query, key, value }: { query: Value; key: Value; value: Value },
  { gridIndex, packedIndex, biases }: SegmentInputs,
  { heads, kvHeads, headDim }: AttentionHeads,
): Value {
  const strips = biases.length;
  const gridRows = productDim([strips, 'B', 'C']);
  const flatIndex = g.reshape(gridIndex, [gridRows]);
  // Padding holds any finite row: the bias hides it as a key, and as a query its gradient is zero.
  const toGrid = (x: Value, count: number): Value =>
    g.permuteRows(g.reshape(x, ['T', count * headDim]), flatIndex, packedIndex, {
      isZeroFilled: false,
      isGradientZeroFilled: false,
    }); // [n · B · C, count · d]
  const byKeyHead = (x: Value): Value => {
    const split = g.reshape(toGrid(x, kvHeads), [strips, 'B', 'C', kvHeads, headDim]);
    const joined = g.transpose(split, [1, 3, 0, 2, 4]); // [B, K, n, C, d]
    return g.reshape(joined, ['B', kvHeads, productDim([strips, 'C']), headDim]);
  };
  const allStrips = productDim([strips, 'B']);
  const stacked = productDim([heads / kvHeads, 'C']);
  const perHead = g.reshape(toGrid(query, heads), [allStrips, 'C', heads, headDim]);
  const queries = g.split(
    g.reshape(g.transpose(perHead, [0, 2, 1, 3]), [allStrips, kvHeads, stacked, headDim]),
    biases.map(() => 'B'),
    0,
  ); // n times [B, K, group · C, d]

  let [keys, values] = [byKeyHead(key), byKeyHead(value)];
  const mixed = new Array<Value>(strips);
  for (let i = strips - 1; i >= 0; i--) {
    const scores = g.matMul(queries[i]!, keys, {
      transB: true,
      alpha: 1 / Math.sqrt(headDim),
      to: 'f32',
    });
    const perQuery = g.reshape(scores, ['B', heads, 'C', keys.shape[2]!]);
    const biased = g.reshape(g.add(perQuery, biases[i]!), scores.shape);
    mixed[i] = g.attend(biased, values); // [B, K, group · C, d]
    if (i > 0) [keys, values] = [withoutLast(g, keys), withoutLast(g, values)];
  }
  const attended = g.reshape(g.concat(mixed, 0), [allStrips, heads, 'C', headDim]);
  const rows = g.reshape(g.transpose(attended, [0, 2, 1, 3]), [gridRows, heads * headDim]);
  return g.permuteRows(rows, packedIndex, flatIndex, { isZeroFilled: false });
}

/** Keys or values `[B, K, …, d]` without those of the last strip. */
function withoutLast(g: GraphBuilder, x: Value): Value {
  return g.split(x, [differenceDim(x.shape[2]!, ['C']), 'C'], 2)[0]!;
}

/** What the scores of queries and keys are multiplied by. */
export function scoreScaleOf({ headDim }: { readonly headDim: number }): number {
  return 1 / Math.sqrt(headDim);
}

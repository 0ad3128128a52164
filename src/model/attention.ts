/**
 * Attention of grouped queries (GQA, arXiv:2305.13245) with rotary embeddings over packed segments. It is composed of
 * matrix products over strips of queries, or is one fused op.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { Value } from '../graph/ir.ts';
import { differenceDim, productDim } from '../graph/dim.ts';
import type { GraphForm } from './graph-form.ts';

/** Heads of an attention: `heads` queries share `kvHeads` keys in equal groups. */
export interface AttentionHeads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Cosines and sines of each token's angles, `[T, d/2]`. */
export interface RotaryValues {
  readonly cos: Value;
  readonly sin: Value;
}

/** Declares the cosines and sines of the angles of some rows as inputs. */
export function rotaryInputs(g: GraphBuilder, rows: 'T' | 'B', headDim: number): RotaryValues {
  const shape = [rows, headDim / 2];
  return { cos: g.input('rotary.cos', 'f32', shape), sin: g.input('rotary.sin', 'f32', shape) };
}

/** Graph inputs that describe segments, for composed or fused attention. */
export type SegmentInputs = GridInputs | PlaceInputs;

/** Segments for composed attention; see `SegmentLayout`. */
interface GridInputs {
  readonly form: 'composed';
  readonly gridIndex: Value; // i64 [n, B, C]
  readonly packedIndex: Value; // i64 [T]
  readonly biases: readonly Value[]; // n times f32 [B, 1, C, (i + 1) · C]
}

/** Segments for fused attention; see `PlaceLayout`. */
interface PlaceInputs {
  readonly form: 'fused';
  readonly order: Value; // i32 [T]
  readonly sees: Value; // i32 [T, 4]
  readonly seenBy: Value; // i32 [T, 2]
}

/** Declares the segment inputs of a block; composed attention is computed in `strips`. */
export function segmentInputs(g: GraphBuilder, form: GraphForm, strips: number): SegmentInputs {
  if (form === 'fused') {
    return {
      form,
      order: g.input('segments.order', 'i32', ['T']),
      sees: g.input('segments.sees', 'i32', ['T', 4]),
      seenBy: g.input('segments.seenBy', 'i32', ['T', 2]),
    };
  }
  return {
    form,
    gridIndex: g.input('segments.gridIndex', 'i64', [strips, 'B', 'C']),
    packedIndex: g.input('segments.packedIndex', 'i64', ['T']),
    biases: Array.from({ length: strips }, (_, i) =>
      g.input(`segments.bias.${i}`, 'f32', ['B', 1, 'C', productDim([i + 1, 'C'])]),
    ),
  };
}

/** Result of attention, and the keys and values for a cache. */
interface Attended {
  readonly attended: Value; // [T, H·d]
  readonly key: Value; // [T, K, d], rotated
  readonly value: Value; // [T, K, d]
}

/** Rotary attention over packed tokens, each within its segment, of joined projections `[T, (H + 2K)·d]`. */
export function attention(
  g: GraphBuilder,
  qkv: Value,
  rotary: RotaryValues,
  segments: SegmentInputs,
  heads: AttentionHeads,
): Attended {
  if (segments.form === 'fused') return fusedAttention(g, qkv, rotary, segments, heads);
  const { query, key, value } = splitHeads(g, qkv, rotary, heads);
  return { attended: stripAttention(g, { query, key, value }, segments, heads), key, value };
}

/** Attention as one op. Projections stay joined, so nothing is split, and their gradient is one tensor. */
function fusedAttention(
  g: GraphBuilder,
  qkv: Value,
  { cos, sin }: RotaryValues,
  segments: PlaceInputs,
  { heads, kvHeads, headDim }: AttentionHeads,
): Attended {
  const joined = g.reshape(qkv, [qkv.shape[0]!, heads + 2 * kvHeads, headDim]);
  const rotated = g.rotary(joined, cos, sin, { heads: heads + kvHeads });
  const part = (start: number): Value => g.slice(rotated, { axis: 1, start, end: start + kvHeads });
  return {
    attended: g.packedAttention(rotated, segments, { heads, kvHeads }),
    key: part(heads),
    value: part(heads + kvHeads),
  };
}

/** Splits joined projections `[T, (H + 2K)·d]` into queries, keys and values `[T, heads, d]`, the first two rotated. */
export function splitHeads(
  g: GraphBuilder,
  qkv: Value,
  { cos, sin }: RotaryValues,
  { heads, kvHeads, headDim }: AttentionHeads,
): { query: Value; key: Value; value: Value } {
  const tokens = qkv.shape[0]!;
  const rotatedWidth = (heads + kvHeads) * headDim;
  const [qk, v] = g.split(qkv, [rotatedWidth, kvHeads * headDim], 1) as [Value, Value];
  const rotated = g.rotary(g.reshape(qk, [tokens, heads + kvHeads, headDim]), cos, sin);
  const [query, key] = g.split(rotated, [heads, kvHeads], 1) as [Value, Value];
  return { query, key, value: g.reshape(v, [tokens, kvHeads, headDim]) };
}

/**
 * Scaled dot-product attention over packed tokens, each within its segment, strip by strip.
 *
 * Queries of one key-value group are stacked along the query axis, so keys are never repeated. Scores are f32 in every
 * dtype of queries, keys and values.
 *
 * @param query `[T, heads, d]`, rotated
 * @param key `[T, kvHeads, d]`, rotated
 * @param value `[T, kvHeads, d]`
 * @returns `[T, heads · d]`
 */
function stripAttention(
  g: GraphBuilder,
  { query, key, value }: { query: Value; key: Value; value: Value },
  { gridIndex, packedIndex, biases }: GridInputs,
  { heads, kvHeads, headDim }: AttentionHeads,
): Value {
  const strips = biases.length;
  const gridRows = productDim([strips, 'B', 'C']);
  const flatIndex = g.reshape(gridIndex, [gridRows]);
  // Padding may hold any finite row. The bias hides it as a key, and as a query its gradient is zero.
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
      alpha: scoreScaleOf({ headDim }),
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

/** Keys or values `[B, K, …, d]` without the last strip. */
function withoutLast(g: GraphBuilder, x: Value): Value {
  return g.split(x, [differenceDim(x.shape[2]!, ['C']), 'C'], 2)[0]!;
}

/** Factor on the products of queries and keys, `1 / √d`. */
export function scoreScaleOf({ headDim }: { readonly headDim: number }): number {
  return 1 / Math.sqrt(headDim);
}

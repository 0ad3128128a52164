import { tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';

/**
 * Who attends to whom in a packed run of tokens: disjoint segments (a sequence, an image, a window),
 * laid out as a padded `[B, S]` grid for the attention's matrix products.
 */
export interface SegmentLayout {
  /** i64 `[B, S]`: the packed row at each place of the grid, -1 where it is padding. */
  readonly gridIndex: Tensor<'i64'>;
  /** i64 `[T]`: the flat place in the grid of each packed row. */
  readonly packedIndex: Tensor<'i64'>;
  /** f32 `[B, 1, S, S]`: 0 where a query (row) may see a key (column), a large negative elsewhere. */
  readonly bias: Tensor<'f32'>;
}

/** Added to the scores of forbidden pairs; finite, so that a row of padding stays free of NaN. */
const FORBIDDEN = -1e9;

/**
 * The layout of segments given as lists of packed rows.
 *
 * @param segments packed row numbers of each segment, in attention order; together they are 0…T-1, each once
 * @param causal whether a token sees only itself and earlier ones of its segment
 */
export function layoutSegments(
  segments: readonly (readonly number[])[],
  causal: boolean,
): SegmentLayout {
  const batch = segments.length;
  const span = segments.reduce((longest, segment) => Math.max(longest, segment.length), 1);
  const tokens = segments.reduce((sum, segment) => sum + segment.length, 0);
  const gridIndex = tensorOf('i64', [batch, span], new BigInt64Array(batch * span).fill(-1n));
  const packedIndex = zeros('i64', [tokens]);
  const bias = zeros('f32', [batch, 1, span, span]);
  for (const [b, segment] of segments.entries()) {
    for (const [s, row] of segment.entries()) {
      gridIndex.data[b * span + s] = BigInt(row);
      packedIndex.data[row] = BigInt(b * span + s);
    }
    for (let query = 0; query < span; query++) {
      const visible = causal ? Math.min(query + 1, segment.length) : segment.length;
      const start = (b * span + query) * span;
      bias.data.fill(FORBIDDEN, start + visible, start + span);
    }
  }
  return { gridIndex, packedIndex, bias };
}

/** Consecutive runs of the given lengths, as lists of packed rows. */
export function consecutive(lengths: readonly number[]): number[][] {
  let next = 0;
  return lengths.map((length) => Array.from({ length }, () => next++));
}

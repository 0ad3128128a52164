import { tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import type { TokenTree } from './batch.ts';

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

/** The runs of places, `[start, end)` each, that a place of a segment sees. */
export type Visibility = (segment: number, place: number) => readonly (readonly [number, number])[];

/** Every place sees its whole segment. */
export function wholeSegments(segments: readonly (readonly number[])[]): Visibility {
  const ranges = segments.map(({ length }) => [[0, length]] as const);
  return (segment) => ranges[segment]!;
}

/** Every token of a tree sees itself and what came before it: a response sees the prompt, but no other response. */
export function causalTrees(trees: readonly TokenTree[]): Visibility {
  const starts = trees.map(({ prompt, responses }) => {
    let next = prompt;
    return responses.flatMap((length) => {
      const start = next;
      next += length;
      return Array<number>(length).fill(start);
    });
  });
  return (segment, place) => {
    const { prompt } = trees[segment]!;
    if (place < prompt) return [[0, place + 1]];
    return [
      [0, prompt],
      [starts[segment]![place - prompt]!, place + 1],
    ];
  };
}

/** Tokens of a tree. */
export function treeSize({ prompt, responses }: TokenTree): number {
  return responses.reduce((sum, length) => sum + length, prompt);
}

/**
 * The layout of segments given as lists of packed rows.
 *
 * @param segments packed row numbers of each segment, in attention order; together they are 0…T-1, each once
 * @param visible what each place of a segment sees
 */
export function layoutSegments(
  segments: readonly (readonly number[])[],
  visible: Visibility,
): SegmentLayout {
  const batch = segments.length;
  const span = segments.reduce((longest, segment) => Math.max(longest, segment.length), 1);
  const tokens = segments.reduce((sum, segment) => sum + segment.length, 0);
  const gridIndex = tensorOf('i64', [batch, span], new BigInt64Array(batch * span).fill(-1n));
  const packedIndex = zeros('i64', [tokens]);
  const bias = zeros('f32', [batch, 1, span, span]);
  bias.data.fill(FORBIDDEN);
  for (const [b, segment] of segments.entries()) {
    for (const [s, row] of segment.entries()) {
      gridIndex.data[b * span + s] = BigInt(row);
      packedIndex.data[row] = BigInt(b * span + s);
    }
    for (let place = 0; place < span; place++) {
      const at = (b * span + place) * span;
      // Padding sees what the last token sees: nobody reads it, but its softmax must be finite.
      for (const [start, end] of visible(b, Math.min(place, segment.length - 1))) {
        bias.data.fill(0, at + start, at + end);
      }
    }
  }
  return { gridIndex, packedIndex, bias };
}

/** Consecutive runs of the given lengths, as lists of packed rows. */
export function consecutive(lengths: readonly number[]): number[][] {
  let next = 0;
  return lengths.map((length) => Array.from({ length }, () => next++));
}

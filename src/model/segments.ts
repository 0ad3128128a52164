import { zeros, type Allocate, type Tensor, type Tensors } from '../tensor/tensor.ts';
import type { TokenTree } from './batch.ts';

/**
 * Who attends to whom in a packed run of tokens: disjoint segments (a sequence, an image, a window),
 * laid out as a padded `[B, S]` grid for the attention's matrix products.
 */
export interface SegmentLayout {
  /** i64 `[n, B, C]`: the packed row at each place of the grid, -1 where it is padding. */
  readonly gridIndex: Tensor<'i64'>;
  /** i64 `[T]`: the flat place in the grid of each packed row. */
  readonly packedIndex: Tensor<'i64'>;
  /**
   * One for each strip of `C = S / n` queries, f32 `[B, 1, C, (i + 1) · C]`: 0 where a query (row) may
   * see a key (column), a large negative elsewhere.
   */
  readonly biases: readonly Tensor<'f32'>[];
}

/**
 * Strips of a causal attention. Queries of strip `i` see no key behind it, so products with those are
 * never computed: of all scores `(n + 1) / 2n` are left.
 */
export const CAUSAL_STRIPS = 4;

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
 * @param strips number of strips the attention is computed in; with more than one, no place may see a
 *               later one
 * @param allocate gives memory for the layout
 */
export function layoutSegments(
  segments: readonly (readonly number[])[],
  visible: Visibility,
  strips = 1,
  allocate: Allocate = zeros,
): SegmentLayout {
  const batch = segments.length;
  const longest = segments.reduce((most, segment) => Math.max(most, segment.length), 1);
  const height = Math.ceil(longest / strips);
  const tokens = segments.reduce((sum, segment) => sum + segment.length, 0);
  const gridIndex = allocate('i64', [strips, batch, height]);
  gridIndex.data.fill(-1n);
  const packedIndex = allocate('i64', [tokens]);
  const biases = Array.from({ length: strips }, (_, strip) => {
    const bias = allocate('f32', [batch, 1, height, (strip + 1) * height]);
    bias.data.fill(FORBIDDEN);
    return bias;
  });
  for (const [b, segment] of segments.entries()) {
    for (let place = 0; place < strips * height; place++) {
      const strip = Math.floor(place / height);
      const line = b * height + (place % height);
      const row = segment[place];
      if (row !== undefined) {
        const at = strip * batch * height + line;
        gridIndex.data[at] = BigInt(row);
        packedIndex.data[row] = BigInt(at);
      }
      // Padding sees what the last token sees: nobody reads it, but its softmax must be finite.
      const from = line * (strip + 1) * height;
      for (const range of visible(b, Math.min(place, segment.length - 1))) {
        biases[strip]!.data.fill(0, from + range[0], from + range[1]);
      }
    }
  }
  return { gridIndex, packedIndex, biases };
}

/** The layout as the tensors of a block's segment inputs. */
export function namedSegments({ gridIndex, packedIndex, biases }: SegmentLayout): Tensors {
  return {
    'segments.gridIndex': gridIndex,
    'segments.packedIndex': packedIndex,
    ...Object.fromEntries(biases.map((bias, i) => [`segments.bias.${i}`, bias])),
  };
}

/** Consecutive runs of the given lengths, as lists of packed rows. */
export function consecutive(lengths: readonly number[]): number[][] {
  let next = 0;
  return lengths.map((length) => Array.from({ length }, () => next++));
}

/** Segments of a packed run of tokens, such as a sequence, an image or a window. Tokens attend within their segment. */
import { zeros, type Allocate, type Tensor, type Tensors } from '../tensor/tensor.ts';
import type { TokenTree } from './batch.ts';
import type { GraphForm } from './graph-form.ts';

/** Segments as a padded `[B, S]` grid, for the matrix products of composed attention. */
export interface SegmentLayout {
  /** Packed row at each place of the grid, -1 for padding, i64 `[n, B, C]`. */
  readonly gridIndex: Tensor<'i64'>;
  /** Flat place in the grid of each packed row, i64 `[T]`. */
  readonly packedIndex: Tensor<'i64'>;
  /**
   * Biases of the scores, one tensor for each strip `i` of `C = S / n` queries, f32 `[B, 1, C, (i + 1) · C]`: 0 where a
   * query (row) may see a key (column), a large negative number elsewhere.
   */
  readonly biases: readonly Tensor<'f32'>[];
}

/**
 * Number of strips of causal attention. Queries of strip `i` see no key after it, so these products are never
 * computed: the share `(n + 1) / 2n` of all scores is left.
 */
export const CAUSAL_STRIPS = 4;

/** Bias of forbidden pairs; finite, so that a row of padding stays free of NaN. */
const FORBIDDEN = -1e9;

/** Consecutive places, `[start, end)`. */
type Run = readonly [start: number, end: number];

/** The places of a segment that attend to each other, from both sides: a query sees the keys that it attends to. */
export interface Visibility {
  /** The one or two runs of places that a place of a segment sees. */
  readonly sees: (segment: number, place: number) => readonly Run[];
  /** The run of places that see a place of a segment. */
  readonly seenBy: (segment: number, place: number) => Run;
}

/** Visibility of whole segments: every place sees all places of its segment. */
export function wholeSegments(segments: readonly (readonly number[])[]): Visibility {
  const runs = segments.map(({ length }) => [[0, length]] as const);
  return { sees: (segment) => runs[segment]!, seenBy: (segment) => runs[segment]![0] };
}

/** Causal visibility in trees: a token sees itself and the tokens before it, but none of another response. */
export function causalTrees(trees: readonly TokenTree[]): Visibility {
  const branches = trees.map(({ prompt, responses }) => {
    let next = prompt;
    return responses.flatMap((length) => {
      const branch: Run = [next, next + length];
      next += length;
      return Array<Run>(length).fill(branch);
    });
  });
  return {
    sees(segment, place) {
      const { prompt } = trees[segment]!;
      if (place < prompt) return [[0, place + 1]];
      const [start] = branches[segment]![place - prompt]!;
      return start === prompt
        ? [[0, place + 1]]
        : [
            [0, prompt],
            [start, place + 1],
          ];
    },
    seenBy(segment, place) {
      const tree = trees[segment]!;
      if (place < tree.prompt) return [place, treeSize(tree)];
      return [place, branches[segment]![place - tree.prompt]![1]];
    },
  };
}

/** Number of tokens of a tree. */
export function treeSize({ prompt, responses }: TokenTree): number {
  return responses.reduce((sum, length) => sum + length, prompt);
}

/**
 * Lays segments out as a grid.
 *
 * @param segments packed row numbers of each segment, in attention order; together they are 0…T-1, each once
 * @param visible visibility of the places of each segment
 * @param strips number of strips of the attention; with more than one, no place may see a later one
 * @param allocate allocates the layout
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
      // Padding sees what the last token sees. Its result is never read, but its softmax must be finite.
      const from = line * (strip + 1) * height;
      for (const [start, end] of visible.sees(b, Math.min(place, segment.length - 1))) {
        biases[strip]!.data.fill(0, from + start, from + end);
      }
    }
  }
  return { gridIndex, packedIndex, biases };
}

/** Segments as runs of places, for fused attention; see the graph's `packedAttention`. */
export interface PlaceLayout {
  readonly order: Tensor<'i32'>; // [T]
  readonly sees: Tensor<'i32'>; // [T, 4]
  readonly seenBy: Tensor<'i32'>; // [T, 2]
}

/** Lays segments out one after the other; arguments as in `layoutSegments`. */
export function layoutPlaces(
  segments: readonly (readonly number[])[],
  visible: Visibility,
  allocate: Allocate = zeros,
): PlaceLayout {
  const tokens = segments.reduce((sum, segment) => sum + segment.length, 0);
  const order = allocate('i32', [tokens]);
  const sees = allocate('i32', [tokens, 4]);
  const seenBy = allocate('i32', [tokens, 2]);
  sees.data.fill(0);
  let first = 0;
  for (const [b, segment] of segments.entries()) {
    for (const [place, row] of segment.entries()) {
      order.data[first + place] = row;
      const seen = visible.sees(b, place).flat();
      sees.data.set(
        seen.map((at) => first + at),
        4 * row,
      );
      seenBy.data.set(
        visible.seenBy(b, place).map((at) => first + at),
        2 * row,
      );
    }
    first += segment.length;
  }
  return { order, sees, seenBy };
}

/** Makes the tensors of a block's segment inputs, in a form; arguments as in `layoutSegments`. */
export function segmentTensors(
  form: GraphForm,
  segments: readonly (readonly number[])[],
  visible: Visibility,
  strips: number,
  allocate: Allocate,
): Tensors {
  if (form === 'fused') {
    const { order, sees, seenBy } = layoutPlaces(segments, visible, allocate);
    return { 'segments.order': order, 'segments.sees': sees, 'segments.seenBy': seenBy };
  }
  const { gridIndex, packedIndex, biases } = layoutSegments(segments, visible, strips, allocate);
  return {
    'segments.gridIndex': gridIndex,
    'segments.packedIndex': packedIndex,
    ...Object.fromEntries(biases.map((bias, i) => [`segments.bias.${i}`, bias])),
  };
}

/** Makes consecutive segments of the given lengths, as lists of packed rows. */
export function consecutive(lengths: readonly number[]): number[][] {
  let next = 0;
  return lengths.map((length) => Array.from({ length }, () => next++));
}

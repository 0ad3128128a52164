import { zeros, type Allocate, type Tensor, type Tensors } from '../tensor/tensor.ts';
import type { TokenTree } from './batch.ts';
import type { GraphForm } from './graph-form.ts';

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

/** Consecutive places, `[start, end)`. */
type Run = readonly [start: number, end: number];

/** Who sees whom within segments: the same pairs told from both sides. */
export interface Visibility {
  /** The runs of places that a place of a segment sees, one or two. */
  readonly sees: (segment: number, place: number) => readonly Run[];
  /** The places that see it. */
  readonly seenBy: (segment: number, place: number) => Run;
}

/** Every place sees its whole segment. */
export function wholeSegments(segments: readonly (readonly number[])[]): Visibility {
  const runs = segments.map(({ length }) => [[0, length]] as const);
  return { sees: (segment) => runs[segment]!, seenBy: (segment) => runs[segment]![0] };
}

/** Every token of a tree sees itself and what came before it: a response sees the prompt, but no other response. */
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
      for (const [start, end] of visible.sees(b, Math.min(place, segment.length - 1))) {
        biases[strip]!.data.fill(0, from + start, from + end);
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

/** Who attends to whom as runs of places, for attention that is one op; see `packedAttention` of the graph. */
export interface PlaceLayout {
  readonly order: Tensor<'i32'>; // [T]
  readonly sees: Tensor<'i32'>; // [T, 4]
  readonly seenBy: Tensor<'i32'>; // [T, 2]
}

/** The layout of segments one after the other; arguments as of `layoutSegments`. */
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

/** Segments as the tensors of a block's segment inputs, in a form; arguments as of `layoutSegments`. */
export function segmentTensors(
  form: GraphForm,
  segments: readonly (readonly number[])[],
  visible: Visibility,
  strips: number,
  allocate: Allocate,
): Tensors {
  if (form === 'composed') {
    return namedSegments(layoutSegments(segments, visible, strips, allocate));
  }
  const layout = layoutPlaces(segments, visible, allocate);
  return Object.fromEntries(
    Object.entries(layout).map(([name, tensor]) => [`segments.${name}`, tensor as Tensor<'i32'>]),
  );
}

/** Consecutive runs of the given lengths, as lists of packed rows. */
export function consecutive(lengths: readonly number[]): number[][] {
  let next = 0;
  return lengths.map((length) => Array.from({ length }, () => next++));
}

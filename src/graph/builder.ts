import type { DType } from '../tensor/dtype.ts';
import { normalDim, productDim, quotientDim } from './dim.ts';
import { ElementwiseBuilder } from './elementwise-builder.ts';
import type { Dim, Node, Value } from './ir.ts';
import type { ProductAttributes } from './ops/linalg.ts';
import type { PackedHeads } from './ops/attention/packed-attention.ts';
import type { VocabularyAttributes } from './ops/vocabulary.ts';
import { axisOf, formatShape, sameShape, shapeError } from './shape.ts';

/** Bounds of a slice; negative ones count from the end of the axis. */
interface SliceBounds {
  readonly axis: number;
  readonly start?: number;
  readonly end?: number;
}

/**
 * Writes a graph, one function per op.
 *
 * The functions that go element by element stand in `ElementwiseBuilder`, and the record of values and nodes in
 * `NodeBuilder`. Axes may be negative, and count from the end then.
 */
export class GraphBuilder extends ElementwiseBuilder {
  /** Zeros of a shape that may be symbolic. */
  zeros(dtype: DType, shape: readonly Dim[]): Value {
    return this.expand(this.scalar(0, dtype), shape);
  }

  /**
   * Alpha times the product of two batches of matrices, each transposed in its last two axes where the options say so.
   */
  matMul(a: Value, b: Value, options: Partial<ProductAttributes> = {}): Value {
    return this.one('matMul', [a, b], productAttributes(a, options));
  }
  /** Alpha times the product of two matrices, plus `c` broadcast to it. */
  gemm(a: Value, b: Value, options: Partial<ProductAttributes> & { c?: Value } = {}): Value {
    const inputs = options.c === undefined ? [a, b] : [a, b, options.c];
    return this.one('gemm', inputs, productAttributes(a, options));
  }
  /**
   * Rows times a weight in Hugging Face layout: `x [..., in]`, `weight [out, in]`, `bias [out]`
   * give `[..., out]`.
   */
  linear(x: Value, weight: Value, bias?: Value): Value {
    const options = { transB: true, ...(bias === undefined ? {} : { c: bias }) };
    if (x.shape.length === 2) return this.gemm(x, weight, options);
    if (x.shape.length < 2 || weight.shape.length !== 2) {
      throw shapeError('linear', 'wants [..., in] and [out, in]', [x, weight]);
    }
    const lead = x.shape.slice(0, -1);
    const rows = this.reshape(x, [productDim(lead), x.shape.at(-1)!]);
    return this.reshape(this.gemm(rows, weight, options), [...lead, weight.shape[0]!]);
  }

  /**
   * Each row of `x [N, in]` times its group's weight, `[in, out]`, or `[out, in]` if `transB`.
   *
   * Rows of a group stand together, groups in order; `counts i64 [E]` are their numbers of rows, which may be 0.
   */
  groupedProduct(
    x: Value,
    counts: Value,
    weights: readonly Value[],
    { transB = false } = {},
  ): Value {
    return this.one('groupedProduct', [x, counts, ...weights], { transB });
  }
  /**
   * The rows of each group of `a [N, m]`, transposed, times those of `b [N, n]`: `[m, n]` for each group.
   *
   * Where there are addends, one f32 matrix for each group, they are added and the results are f32.
   */
  groupedOuterProduct(
    a: Value,
    b: Value,
    counts: Value,
    addends: readonly Value[] = [],
  ): readonly Value[] {
    return this.apply('groupedOuterProduct', [a, b, counts, ...addends], {});
  }

  transpose(x: Value, perm: readonly number[]): Value {
    const axes = perm.map((axis) => axisOf('transpose', axis, x.shape.length));
    if (axes.length === x.shape.length && axes.every((axis, i) => axis === i)) return x;
    const node = this.producer(x);
    if (node?.op === 'transpose') {
      const inner = (node as Node<'transpose'>).attributes.perm;
      const joined = axes.map((axis) => inner[axis]!);
      return this.transpose(node.inputs[0]!, joined);
    }
    return this.one('transpose', [x], { perm: axes });
  }
  /** The same elements under other dimensions. One of these may be -1, which stands for what the others leave. */
  reshape(x: Value, dims: readonly Dim[]): Value {
    const shape = this.#resolve(x, dims);
    if (sameShape(x.shape, shape)) return x;
    const node = this.producer(x);
    if (node?.op === 'reshape') return this.reshape(node.inputs[0]!, shape);
    return this.one('reshape', [x], { shape });
  }
  unsqueeze(x: Value, axes: readonly number[]): Value {
    const rank = x.shape.length + axes.length;
    const places = axes.map((axis) => axisOf('unsqueeze', axis, rank));
    const rest = [...x.shape];
    const dims = Array.from({ length: rank }, (_, i) => (places.includes(i) ? 1 : rest.shift()!));
    return this.reshape(x, dims);
  }
  squeeze(x: Value, axes: readonly number[]): Value {
    const places = axes.map((axis) => axisOf('squeeze', axis, x.shape.length));
    if (places.some((axis) => x.shape[axis] !== 1)) {
      throw shapeError('squeeze', `axes ${formatShape(axes)} are not all 1`, [x]);
    }
    const kept = x.shape.filter((_, i) => !places.includes(i));
    return this.reshape(x, kept);
  }
  /** x repeated along the axes in which it has one element, and along leading axes that it lacks. */
  expand(x: Value, shape: readonly Dim[]): Value {
    const target = shape.map(normalDim);
    return sameShape(x.shape, target) ? x : this.one('expand', [x], { shape: target });
  }
  concat(values: readonly Value[], axis: number): Value {
    const [first] = values;
    if (first === undefined) throw shapeError('concat', 'wants at least one value', values);
    if (values.length === 1) return first;
    return this.one('concat', values, { axis: axisOf('concat', axis, first.shape.length) });
  }
  slice(x: Value, { axis, start = 0, end }: SliceBounds): Value {
    const at = axisOf('slice', axis, x.shape.length);
    const dim = x.shape[at]!;
    if (start === 0 && (end === undefined || end === dim)) return x;
    return this.one('slice', [x], { axis: at, start, end: end ?? null });
  }
  /** Consecutive parts of the given sizes along an axis. */
  split(x: Value, sizes: readonly Dim[], axis: number): readonly Value[] {
    if (sizes.length === 1) return [x];
    const at = axisOf('split', axis, x.shape.length);
    return this.apply('split', [x], { axis: at, sizes: sizes.map(normalDim) });
  }
  /** x with zeros around it along an axis: `before` of them in front, and enough after it to make the axis `size`. */
  pad(x: Value, axis: number, before: Dim, size: Dim): Value {
    const at = axisOf('pad', axis, x.shape.length);
    const [head, whole] = [normalDim(before), normalDim(size)];
    if (head === 0 && x.shape[at] === whole) return x;
    return this.one('pad', [x], { axis: at, before: head, size: whole });
  }
  /** The product of the sizes of some axes, as a scalar. */
  size(x: Value, axes: readonly number[], dtype: DType): Value {
    const product = productDim(axes.map((axis) => x.shape[axis]!));
    if (typeof product === 'number') return this.scalar(product, dtype);
    return this.one('size', [], { dims: [product], dtype });
  }

  /** Slices of x along `axis`, one per index. Negative indices count from the end. */
  gather(x: Value, index: Value, axis = 0): Value {
    return this.one('gather', [x, index], { axis: axisOf('gather', axis, x.shape.length) });
  }
  /**
   * Rows of x in the order of `index`, with a zero row for -1.
   *
   * `inverse` has for every row of x the place it goes to, or -1 for none. A row may not go to two places.
   *
   * Filling rows with zeros costs a pass. Without `isZeroFilled` the rows for -1 hold anything finite, and without
   * `isGradientZeroFilled` so does the gradient of rows that go nowhere. Leave them unfilled where there are no such
   * rows or nothing reads them.
   */
  permuteRows(
    x: Value,
    index: Value,
    inverse: Value,
    { isZeroFilled = true, isGradientZeroFilled = true } = {},
  ): Value {
    return this.one('permuteRows', [x, index, inverse], { isZeroFilled, isGradientZeroFilled });
  }
  /** Rows of x in the order of `index`, a permutation of all rows, whose inverse is `inverse`. */
  reorderRows(x: Value, index: Value, inverse: Value): Value {
    const unfilled = { isZeroFilled: false, isGradientZeroFilled: false };
    return this.permuteRows(x, index, inverse, unfilled);
  }
  /** One element of x per element of `index`, at the same place on all axes but `axis`. */
  gatherElements(x: Value, index: Value, axis: number): Value {
    return this.one('gatherElements', [x, index], {
      axis: axisOf('gatherElements', axis, x.shape.length),
    });
  }
  /** `data` with updates added at the places in `index`; indices may repeat. */
  scatterElements(data: Value, index: Value, updates: Value, axis: number): Value {
    return this.one('scatterElements', [data, index, updates], {
      axis: axisOf('scatterElements', axis, data.shape.length),
    });
  }
  /** `into [R, n]` with its rows at `index [N]` replaced by `rows [N, n]`; no index may repeat. */
  placeRows(rows: Value, index: Value, into: Value): Value {
    const at = this.unsqueeze(index, [1]);
    const ones = this.expand(this.scalar(1), at.shape);
    const unplaced = this.zeros('f32', [into.shape[0]!, 1]);
    const isPlaced = this.greater(this.scatterElements(unplaced, at, ones, 0), this.scalar(0.5));
    const blank = this.zeros(into.dtype, into.shape);
    const placed = this.scatterElements(blank, this.expand(at, rows.shape), rows, 0);
    return this.where(isPlaced, placed, into);
  }

  /** `data [R, ...]` with `rows [N, ...]` added to its rows at `index [N]`; indices may repeat. */
  addRows(data: Value, index: Value, rows: Value): Value {
    return this.one('addRows', [data, index, rows], {});
  }

  /** The `count` largest elements along the last axis in falling order, and their places. Of equals the first wins. */
  topK(x: Value, count: Dim): readonly [values: Value, places: Value] {
    const [values, places] = this.apply('topK', [x], { count: normalDim(count) });
    return [values!, places!];
  }
  /**
   * The order in which the rows of `count` groups stand together, from the group of each row, `i64 [N]`. Rows of one
   * group keep their order.
   *
   * @returns the number of rows of each group, i64 `[count]`; the row at each place and the place of each row, i64 `[N]`
   */
  rowOrder(groups: Value, count: number): readonly [counts: Value, order: Value, inverse: Value] {
    const [counts, order, inverse] = this.apply('rowOrder', [groups], { count });
    return [counts!, order!, inverse!];
  }
  /** Rows `[N, …]` in an order: those of tokens `x [T, …]`, each repeated `perToken` times. */
  spreadRows(x: Value, order: Value, inverse: Value, perToken: number): Value {
    return this.one('spreadRows', [x, order, inverse], { perToken });
  }
  /** The sum of the rows of each token, `[T, …]`, from rows `x [N, …]` in the order of `spreadRows`. */
  joinRows(x: Value, order: Value, inverse: Value, perToken: number): Value {
    return this.one('joinRows', [x, order, inverse], { perToken });
  }
  /** Each element plus all before it along an axis. */
  cumSum(x: Value, axis = -1): Value {
    return this.one('cumSum', [x], { axis: axisOf('cumSum', axis, x.shape.length) });
  }

  reduceSum(x: Value, axes: readonly number[], keepDims = false): Value {
    return this.#reduce('reduceSum', x, axes, keepDims);
  }
  reduceMean(x: Value, axes: readonly number[], keepDims = false): Value {
    return this.#reduce('reduceMean', x, axes, keepDims);
  }
  /** The largest elements along the axes; elements that tie share the gradient. */
  reduceMax(x: Value, axes: readonly number[], keepDims = false): Value {
    return this.#reduce('reduceMax', x, axes, keepDims);
  }
  softmax(x: Value, axis = -1): Value {
    return this.one('softmax', [x], { axis: axisOf('softmax', axis, x.shape.length) });
  }
  logSoftmax(x: Value, axis = -1): Value {
    return this.one('logSoftmax', [x], { axis: axisOf('logSoftmax', axis, x.shape.length) });
  }
  /** Rows over their root mean square, times `weight` `[d]`. */
  rmsNorm(x: Value, weight: Value, epsilon: number): Value {
    return this.one('rmsNorm', [x, weight], { epsilon });
  }
  /** Rows less their mean, over their deviation, times `weight` `[d]`, plus `bias` `[d]`. */
  layerNorm(x: Value, weight: Value, bias: Value, epsilon: number): Value {
    return this.inFloat32([x, weight, bias], (x, weight, bias) => {
      const centred = this.sub(x, this.reduceMean(x, [-1], true));
      // The root mean square of rows whose mean is 0 is their deviation.
      return this.add(this.rmsNorm(centred, weight, epsilon), bias);
    });
  }
  /**
   * Rotary positions: turns the pairs (j, j + d/2) of each head by its token's angle (half-split, GPT-NeoX style).
   *
   * `x [T, H, d]`; `cos` and `sin` `[T, d/2]` get no gradient.
   *
   * @param options `inverse` turns back; `heads` turns the first so many heads only
   */
  rotary(
    x: Value,
    cos: Value,
    sin: Value,
    { inverse = false, heads }: { inverse?: boolean; heads?: number } = {},
  ): Value {
    const some = heads === undefined || heads === x.shape[1] ? {} : { heads };
    return this.one('rotary', [x, cos, sin], { inverse, ...some });
  }
  /**
   * Values mixed by the softmax of scores: `scores [..., M, S]` and `values [..., S, d]` give `[..., M, d]`.
   *
   * It equals softmax and matMul, but its gradient costs less.
   */
  attend(scores: Value, values: Value): Value {
    return this.one('attend', [scores, values], {});
  }
  /**
   * Attention over packed sequences that never stores scores.
   *
   * `joined [T, H + 2 K, d]` are rotated queries and keys, and values; the result is `[T, H·d]`. The op
   * (`ops/packed-attention.ts`) defines the index tensors, by which tokens see one another.
   */
  packedAttention(
    joined: Value,
    { order, sees, seenBy }: { order: Value; sees: Value; seenBy: Value },
    { heads, kvHeads }: PackedHeads,
  ): Value {
    return this.one('packedAttention', [joined, order, sees, seenBy], { heads, kvHeads });
  }
  /**
   * Attention of one new token of each sequence over the sequence's pages of a key-value cache.
   *
   * `projected [B, (H + 2K)·d]`, not rotated; `keys` and `values [N, R, K, d]`; `pages i32 [B, M]`; `lengths i32 [B]`;
   * perhaps a `bias [(H + 2K)·d]` of the projections. The next keys and values may be written in place of the given ones.
   * See `ops/cached-attention.ts`.
   */
  cachedAttention(
    projected: Value,
    rotary: { readonly cos: Value; readonly sin: Value },
    cache: Readonly<Record<'keys' | 'values' | 'pages' | 'lengths', Value>>,
    scale: number,
    bias?: Value,
  ): readonly [attended: Value, nextKeys: Value, nextValues: Value] {
    const { keys, values, pages, lengths } = cache;
    const given = [projected, rotary.cos, rotary.sin, keys, values, pages, lengths];
    const inputs = bias === undefined ? given : [...given, bias];
    const [attended, nextKeys, nextValues] = this.apply('cachedAttention', inputs, { scale });
    return [attended!, nextKeys!, nextValues!];
  }
  /**
   * Tokens drawn from the rows `rows i32 [B]` of `logits [R, V]`, and their log-probabilities: f32 `[B, 2]`.
   *
   * The tokens in `banned i32 [N]` are never drawn. See `ops/draw.ts`.
   */
  drawTokens(
    logits: Value,
    rows: Value,
    banned: Value,
    by: { readonly uniform: Value; readonly topK: Value; readonly topP: Value },
  ): Value {
    return this.one('drawTokens', [logits, rows, banned, by.uniform, by.topK, by.topP], {});
  }

  /**
   * Log-probabilities f32 `[R]` of tokens i64 `[R, 1]` under logits `[R, V]`.
   *
   * @param attributes its `gradient` is the dtype of the product that makes the logits
   */
  tokenLogProbs(logits: Value, targets: Value, attributes: VocabularyAttributes): Value {
    return this.one('tokenLogProbs', [logits, targets], attributes);
  }

  /**
   * Entropies f32 `[R]`, in nats, of the distributions that logits `[R, V]` give.
   *
   * @param attributes those of `tokenLogProbs`
   */
  tokenEntropies(logits: Value, attributes: VocabularyAttributes): Value {
    return this.one('tokenEntropies', [logits], attributes);
  }

  #reduce(
    op: 'reduceSum' | 'reduceMean' | 'reduceMax',
    x: Value,
    axes: readonly number[],
    keepDims: boolean,
  ): Value {
    const places = new Set(axes.map((axis) => axisOf(op, axis, x.shape.length)));
    const sorted = [...places].sort((a, b) => a - b);
    if (sorted.length === 0) return x;
    return this.one(op, [x], { axes: sorted, keepDims });
  }

  #resolve(x: Value, dims: readonly Dim[]): Dim[] {
    const known = dims.filter((dim) => dim !== -1);
    if (known.length === dims.length) return dims.map(normalDim);
    const rest = quotientDim(x.shape, known);
    if (known.length < dims.length - 1 || rest === undefined) {
      throw shapeError('reshape', `the elements do not fill ${formatShape(dims)}`, [x]);
    }
    return dims.map((dim) => (dim === -1 ? rest : normalDim(dim)));
  }
}

function productAttributes(a: Value, options: Partial<ProductAttributes>): ProductAttributes {
  const { transA = false, transB = false, alpha = 1, to } = options;
  const isPlain = to === undefined || to === a.dtype;
  return { transA, transB, alpha, ...(isPlain ? {} : { to }) };
}

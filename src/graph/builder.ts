import { CxmindError } from '../errors.ts';
import type { DType, FloatDType } from '../tensor/dtype.ts';
import { numbersOf } from '../tensor/numbers.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import type { Dim, Graph, GraphOutput, Node, Value, ValueType } from './ir.ts';
import { isFloat } from './ir.ts';
import { attributesText, numberText } from './number-text.ts';
import type { ProductAttributes } from './ops/linalg.ts';
import type { PackedHeads } from './ops/packed-attention.ts';
import { opOf, type OpAttributes, type OpName } from './ops/table.ts';
import {
  axisOf,
  broadcastShapes,
  formatShape,
  normalDim,
  productDim,
  quotientDim,
  sameShape,
  shapeError,
} from './shape.ts';

/** Where a slice begins and ends; negative bounds count from the end of the axis. */
export interface SliceBounds {
  readonly axis: number;
  readonly start?: number;
  readonly end?: number;
}

/**
 * Writes a graph, one function per op. Shapes and dtypes are checked as it is written; writing the
 * same op on the same operands twice gives the same value.
 */
export class GraphBuilder {
  readonly name: string;
  readonly #inputs: Value[] = [];
  readonly #outputs: GraphOutput[] = [];
  readonly #nodes: Node[] = [];
  readonly #constants = new Map<number, Tensor>();
  readonly #producers = new Map<number, Node>();
  readonly #known = new Map<string, readonly Value[]>();
  readonly #scalars = new Map<string, Value>();
  #nextId = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** A builder that goes on from a finished graph: its values may be used as operands. */
  static from(graph: Graph): GraphBuilder {
    const builder = new GraphBuilder(graph.name);
    builder.#inputs.push(...graph.inputs);
    for (const [id, tensor] of graph.constants) builder.#constants.set(id, tensor);
    for (const node of graph.nodes) builder.#append(node);
    const values = [...graph.inputs, ...graph.nodes.flatMap((node) => node.outputs)];
    const ids = [...values.map(({ id }) => id), ...graph.constants.keys()];
    builder.#nextId = ids.reduce((last, id) => Math.max(last, id), -1) + 1;
    return builder;
  }

  /** Everything written so far; nodes that no output needs are still in it. */
  build(): Graph {
    return {
      name: this.name,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      nodes: [...this.#nodes],
      constants: new Map(this.#constants),
    };
  }

  /** A value the caller binds at run time. */
  input(name: string, dtype: DType, shape: readonly Dim[]): Value {
    if (this.#inputs.some((input) => input.name === name)) {
      throw new CxmindError('GRAPH_INVALID', `${this.name}: two inputs are called '${name}'`);
    }
    const value = this.#value(name, { dtype, shape: shape.map(normalDim) });
    this.#inputs.push(value);
    return value;
  }

  /** Names a value as a result. */
  output(name: string, value: Value): void {
    if (this.#outputs.some((output) => output.name === name)) {
      throw new CxmindError('GRAPH_INVALID', `${this.name}: two outputs are called '${name}'`);
    }
    this.#outputs.push({ name, value });
  }

  /** A tensor that is part of the graph. */
  constant(tensor: Tensor, name = 'constant'): Value {
    const value = this.#value(`${name}_${this.#nextId}`, tensor);
    this.#constants.set(value.id, tensor);
    return value;
  }

  /** A number that is part of the graph. */
  scalar(value: number, dtype: DType = 'f32'): Value {
    const key = `${dtype}:${numberText(value)}`;
    const known = this.#scalars.get(key);
    if (known !== undefined) return known;
    const result = this.constant(tensorOf(dtype, [], [value]), 'scalar');
    this.#scalars.set(key, result);
    return result;
  }

  /** Zeros of a shape that may be symbolic. */
  zeros(dtype: DType, shape: readonly Dim[]): Value {
    return this.expand(this.scalar(0, dtype), shape);
  }

  /** Applies any op of the table; the named functions below are its everyday forms. */
  apply<K extends OpName>(
    op: K,
    inputs: readonly Value[],
    attributes: OpAttributes[K],
  ): readonly Value[] {
    const known = this.#known.get(keyOf({ op, inputs, attributes }));
    if (known !== undefined) return known;
    const types = this.#infer(op, inputs, attributes);
    const outputs = types.map((type) => this.#value(`${op}_${this.#nextId}`, type));
    // The node is built from the op's own attribute type, which the union over ops cannot express.
    this.#append({ op, inputs, attributes, outputs });
    return outputs;
  }

  /** The node that makes a value; none for inputs and constants. */
  producer(value: Value): Node | undefined {
    return this.#producers.get(value.id);
  }

  /** The tensor of a constant; none for other values. */
  constantOf(value: Value): Tensor | undefined {
    return this.#constants.get(value.id);
  }

  /** Whether a value is zeros by the way it was written. */
  isZero(value: Value): boolean {
    return this.#isScalar(this.#unexpanded(value), 0);
  }

  add(a: Value, b: Value): Value {
    return this.#binary('add', a, b);
  }
  sub(a: Value, b: Value): Value {
    return this.#binary('sub', a, b);
  }
  mul(a: Value, b: Value): Value {
    return this.#binary('mul', a, b);
  }
  div(a: Value, b: Value): Value {
    return this.#binary('div', a, b);
  }
  min(a: Value, b: Value): Value {
    return this.#binary('min', a, b);
  }
  max(a: Value, b: Value): Value {
    return this.#binary('max', a, b);
  }
  pow(a: Value, b: Value): Value {
    return this.#binary('pow', a, b);
  }
  neg(x: Value): Value {
    return this.#one('neg', [x], {});
  }
  exp(x: Value): Value {
    return this.#one('exp', [x], {});
  }
  log(x: Value): Value {
    return this.#one('log', [x], {});
  }
  sqrt(x: Value): Value {
    return this.#one('sqrt', [x], {});
  }
  reciprocal(x: Value): Value {
    return this.#one('reciprocal', [x], {});
  }
  sigmoid(x: Value): Value {
    return this.#one('sigmoid', [x], {});
  }
  tanh(x: Value): Value {
    return this.#one('tanh', [x], {});
  }
  erf(x: Value): Value {
    return this.#one('erf', [x], {});
  }
  abs(x: Value): Value {
    return this.#one('abs', [x], {});
  }
  /** -1, 0 or 1; its gradient is zero. */
  sign(x: Value): Value {
    return this.#one('sign', [x], {});
  }
  sin(x: Value): Value {
    return this.#one('sin', [x], {});
  }
  cos(x: Value): Value {
    return this.#one('cos', [x], {});
  }
  /** The largest whole number not above x; its gradient is zero. */
  floor(x: Value): Value {
    return this.#one('floor', [x], {});
  }
  equal(a: Value, b: Value): Value {
    return this.#binary('equal', a, b);
  }
  less(a: Value, b: Value): Value {
    return this.#binary('less', a, b);
  }
  greater(a: Value, b: Value): Value {
    return this.#binary('greater', a, b);
  }
  and(a: Value, b: Value): Value {
    return this.#binary('and', a, b);
  }
  or(a: Value, b: Value): Value {
    return this.#binary('or', a, b);
  }
  not(x: Value): Value {
    return this.#one('not', [x], {});
  }
  /** `a` where the condition holds, `b` elsewhere. */
  where(condition: Value, a: Value, b: Value): Value {
    return this.#one('where', [condition, a, b], {});
  }
  cast(x: Value, to: DType): Value {
    if (x.dtype === to) return x;
    const from = this.producer(x);
    // A half widened to f32 is exact, so what comes back is what it was.
    const isBack = from?.op === 'cast' && x.dtype === 'f32' && isFloat(to);
    if (isBack && from.inputs[0]!.dtype === to) return from.inputs[0]!;
    return this.#one('cast', [x], { to });
  }
  /** A formula computed in f32 and rounded once, to the dtype of its first operand, where every step would round. */
  inFloat32<V extends readonly Value[]>(operands: V, formula: (...wide: V) => Value): Value {
    const wide = operands.map((operand) => this.cast(operand, 'f32')) as unknown as V;
    return this.cast(formula(...wide), operands[0]!.dtype);
  }
  /** x kept within `[low, high]`; the gradient passes where x is within, bounds included. */
  clip(x: Value, low: number, high: number): Value {
    return this.#one('clip', [x], { low, high });
  }
  /** x times its sigmoid. */
  silu(x: Value): Value {
    return this.#one('silu', [x], {});
  }
  /** Gaussian error linear unit, the exact form with erf. */
  gelu(x: Value): Value {
    return this.inFloat32([x], (x) => {
      const half = this.scalar(0.5);
      const cdf = this.erf(this.mul(x, this.scalar(Math.SQRT1_2)));
      return this.mul(this.mul(x, half), this.add(cdf, this.scalar(1)));
    });
  }

  /** alpha times the product of two batches of matrices, either transposed in its last two axes. */
  matMul(a: Value, b: Value, options: Partial<ProductAttributes> = {}): Value {
    return this.#one('matMul', [a, b], productAttributes(a, options));
  }
  /** alpha times the product of two matrices, plus `c` broadcast to it. */
  gemm(a: Value, b: Value, options: Partial<ProductAttributes> & { c?: Value } = {}): Value {
    const inputs = options.c === undefined ? [a, b] : [a, b, options.c];
    return this.#one('gemm', inputs, productAttributes(a, options));
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

  transpose(x: Value, perm: readonly number[]): Value {
    const axes = perm.map((axis) => axisOf('transpose', axis, x.shape.length));
    if (axes.length === x.shape.length && axes.every((axis, i) => axis === i)) return x;
    const node = this.producer(x);
    if (node?.op === 'transpose') {
      const inner = (node as Node<'transpose'>).attributes.perm;
      return this.transpose(
        node.inputs[0]!,
        axes.map((axis) => inner[axis]!),
      );
    }
    return this.#one('transpose', [x], { perm: axes });
  }
  /** The same elements under other dimensions, of which one may be -1: whatever is left. */
  reshape(x: Value, dims: readonly Dim[]): Value {
    const shape = this.#resolve(x, dims);
    if (sameShape(x.shape, shape)) return x;
    const node = this.producer(x);
    if (node?.op === 'reshape') return this.reshape(node.inputs[0]!, shape);
    return this.#one('reshape', [x], { shape });
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
    return this.reshape(
      x,
      x.shape.filter((_, i) => !places.includes(i)),
    );
  }
  /** x repeated along axes where it has one element, or none. */
  expand(x: Value, shape: readonly Dim[]): Value {
    const target = shape.map(normalDim);
    return sameShape(x.shape, target) ? x : this.#one('expand', [x], { shape: target });
  }
  concat(values: readonly Value[], axis: number): Value {
    const [first] = values;
    if (first === undefined) throw shapeError('concat', 'wants at least one value', values);
    if (values.length === 1) return first;
    return this.#one('concat', values, { axis: axisOf('concat', axis, first.shape.length) });
  }
  slice(x: Value, { axis, start = 0, end }: SliceBounds): Value {
    const at = axisOf('slice', axis, x.shape.length);
    const dim = x.shape[at]!;
    if (start === 0 && (end === undefined || end === dim)) return x;
    return this.#one('slice', [x], { axis: at, start, end: end ?? null });
  }
  /** Consecutive parts of the given sizes along an axis. */
  split(x: Value, sizes: readonly Dim[], axis: number): readonly Value[] {
    if (sizes.length === 1) return [x];
    const at = axisOf('split', axis, x.shape.length);
    return this.apply('split', [x], { axis: at, sizes: sizes.map(normalDim) });
  }
  /** x after `before` zeros along an axis, and as many behind as make that axis `size`. */
  pad(x: Value, axis: number, before: Dim, size: Dim): Value {
    const at = axisOf('pad', axis, x.shape.length);
    const [head, whole] = [normalDim(before), normalDim(size)];
    if (head === 0 && x.shape[at] === whole) return x;
    return this.#one('pad', [x], { axis: at, before: head, size: whole });
  }
  /** The product of the dimensions of some axes, as a scalar. */
  size(x: Value, axes: readonly number[], dtype: DType): Value {
    const product = productDim(axes.map((axis) => x.shape[axis]!));
    if (typeof product === 'number') return this.scalar(product, dtype);
    return this.#one('size', [], { dims: [product], dtype });
  }

  /** Slices of x along `axis`, one per index; negative indices count from the end. */
  gather(x: Value, index: Value, axis = 0): Value {
    return this.#one('gather', [x, index], { axis: axisOf('gather', axis, x.shape.length) });
  }
  /**
   * Rows of x in the order of `index`, a zero row for -1. `inverse` says for every row of x where it
   * went, -1 if nowhere; a row may not go to two places.
   *
   * Without `isZeroFilled` rows for -1 hold anything finite, which costs less; likewise the gradient
   * of rows that went nowhere without `isGradientZeroFilled`. Right where there are no such rows, or
   * where nothing reads them.
   */
  permuteRows(
    x: Value,
    index: Value,
    inverse: Value,
    { isZeroFilled = true, isGradientZeroFilled = true } = {},
  ): Value {
    return this.#one('permuteRows', [x, index, inverse], { isZeroFilled, isGradientZeroFilled });
  }
  /** One element of x per element of `index`, from the same place off `axis`. */
  gatherElements(x: Value, index: Value, axis: number): Value {
    return this.#one('gatherElements', [x, index], {
      axis: axisOf('gatherElements', axis, x.shape.length),
    });
  }
  /** `data` with updates added where `index` says; indices may repeat. */
  scatterElements(data: Value, index: Value, updates: Value, axis: number): Value {
    return this.#one('scatterElements', [data, index, updates], {
      axis: axisOf('scatterElements', axis, data.shape.length),
    });
  }
  /** `into [R, n]` with its rows at `index [N]` replaced by those of `rows [N, n]`; no index twice. */
  placeRows(rows: Value, index: Value, into: Value): Value {
    const at = this.unsqueeze(index, [1]);
    const ones = this.expand(this.scalar(1), at.shape);
    const unplaced = this.zeros('f32', [into.shape[0]!, 1]);
    const isPlaced = this.greater(this.scatterElements(unplaced, at, ones, 0), this.scalar(0.5));
    const blank = this.zeros(into.dtype, into.shape);
    const placed = this.scatterElements(blank, this.expand(at, rows.shape), rows, 0);
    return this.where(isPlaced, placed, into);
  }

  /** `data [R, ...]` with `rows [N, ...]` added to the rows that `index [N]` names; indices may repeat. */
  addRows(data: Value, index: Value, rows: Value): Value {
    return this.#one('addRows', [data, index, rows], {});
  }

  /** The `count` largest elements of each row of the last axis in falling order, and their places, of equals the first. */
  topK(x: Value, count: Dim): readonly [values: Value, places: Value] {
    const [values, places] = this.apply('topK', [x], { count: normalDim(count) });
    return [values!, places!];
  }
  /** Each element plus all before it along an axis. */
  cumSum(x: Value, axis = -1): Value {
    return this.#one('cumSum', [x], { axis: axisOf('cumSum', axis, x.shape.length) });
  }

  reduceSum(x: Value, axes: readonly number[], keepDims = false): Value {
    return this.#reduce('reduceSum', x, axes, keepDims);
  }
  reduceMean(x: Value, axes: readonly number[], keepDims = false): Value {
    return this.#reduce('reduceMean', x, axes, keepDims);
  }
  /** The largest elements; elements that tie share the gradient. */
  reduceMax(x: Value, axes: readonly number[], keepDims = false): Value {
    return this.#reduce('reduceMax', x, axes, keepDims);
  }
  softmax(x: Value, axis = -1): Value {
    return this.#one('softmax', [x], { axis: axisOf('softmax', axis, x.shape.length) });
  }
  logSoftmax(x: Value, axis = -1): Value {
    return this.#one('logSoftmax', [x], { axis: axisOf('logSoftmax', axis, x.shape.length) });
  }
  /** Rows over their root mean square, times `weight` `[d]`. */
  rmsNorm(x: Value, weight: Value, epsilon: number): Value {
    return this.#one('rmsNorm', [x, weight], { epsilon });
  }
  /**
   * Turns the pairs (j, j + d/2) of each head by its token's angle (half-split, GPT-NeoX style):
   * `x [T, H, d]`, `cos` and `sin` `[T, d/2]`, which get no gradient. With `heads` only the first of them turn.
   */
  rotary(
    x: Value,
    cos: Value,
    sin: Value,
    { inverse = false, heads }: { inverse?: boolean; heads?: number } = {},
  ): Value {
    const some = heads === undefined || heads === x.shape[1] ? {} : { heads };
    return this.#one('rotary', [x, cos, sin], { inverse, ...some });
  }
  /**
   * Values mixed by the softmax of scores: `scores [..., M, S]`, `values [..., S, d]` give
   * `[..., M, d]`. The same as softmax and matMul, with a gradient that costs less.
   */
  attend(scores: Value, values: Value): Value {
    return this.#one('attend', [scores, values], {});
  }
  /**
   * Attention over packed tokens that never stores scores: joined queries, keys and values `[T, H + 2 K, d]`, rotated,
   * give `[T, H·d]`; see the op for who sees whom.
   */
  packedAttention(
    joined: Value,
    { order, sees, seenBy }: { order: Value; sees: Value; seenBy: Value },
    { heads, kvHeads }: PackedHeads,
  ): Value {
    return this.#one('packedAttention', [joined, order, sees, seenBy], { heads, kvHeads });
  }
  /**
   * Attention of one new token of each sequence over its pages of a cache, see the op: `projected [B, (H + 2K)·d]`, not
   * rotated, `keys` and `values [N, R, K, d]`, `pages i32 [B, M]`, `lengths i32 [B]`. What comes next in the cache may be
   * written in its place.
   */
  cachedAttention(
    projected: Value,
    rotary: { readonly cos: Value; readonly sin: Value },
    cache: Readonly<Record<'keys' | 'values' | 'pages' | 'lengths', Value>>,
    scale: number,
  ): readonly [attended: Value, nextKeys: Value, nextValues: Value] {
    const { keys, values, pages, lengths } = cache;
    const inputs = [projected, rotary.cos, rotary.sin, keys, values, pages, lengths];
    const [attended, nextKeys, nextValues] = this.apply('cachedAttention', inputs, { scale });
    return [attended!, nextKeys!, nextValues!];
  }
  /**
   * Tokens drawn from rows `rows i32 [B]` of `logits [R, V]` but for those of `banned i32 [N]`, and their
   * log-probabilities: f32 `[B, 2]`; see the op.
   */
  drawTokens(
    logits: Value,
    rows: Value,
    banned: Value,
    by: { readonly uniform: Value; readonly topK: Value; readonly topP: Value },
  ): Value {
    return this.#one('drawTokens', [logits, rows, banned, by.uniform, by.topK, by.topP], {});
  }

  /**
   * Log-probabilities f32 `[R]` of tokens i64 `[R, 1]` by logits `[R, V]`, with a gradient of the logits in a dtype of
   * its own: that of the product which they come from.
   */
  tokenLogProbs(logits: Value, targets: Value, gradient: FloatDType): Value {
    return this.#one('tokenLogProbs', [logits, targets], { gradient });
  }

  #one<K extends OpName>(op: K, inputs: readonly Value[], attributes: OpAttributes[K]): Value {
    return this.apply(op, inputs, attributes)[0]!;
  }

  /** Applies a broadcasting op; an operand that was only expanded to fit the other is used as it was. */
  #binary(op: BinaryName, a: Value, b: Value): Value {
    const shape = broadcastShapes([a.shape, b.shape]);
    const [left, right] = [this.#unexpanded(a), this.#unexpanded(b)];
    const fits = (x: Value, y: Value): boolean => {
      const fit = shape && broadcastShapes([x.shape, y.shape]);
      return fit !== undefined && sameShape(fit, shape!);
    };
    if (left !== a && fits(left, b)) return this.#binary(op, left, b);
    if (right !== b && fits(a, right)) return this.#binary(op, a, right);
    if (shape !== undefined && a.dtype === b.dtype) {
      const neutral = neutralOf[op];
      if (neutral !== undefined && this.#isScalar(b, neutral) && sameShape(a.shape, shape))
        return a;
      const commutes = op === 'add' || op === 'mul';
      if (commutes && this.#isScalar(a, neutral!) && sameShape(b.shape, shape)) return b;
    }
    return this.#one(op, [a, b], {});
  }

  #isScalar(value: Value, number: number): boolean {
    const tensor = this.#constants.get(value.id);
    return tensor?.data.length === 1 && isFloat(tensor.dtype) && numbersOf(tensor)[0] === number;
  }

  #unexpanded(value: Value): Value {
    const node = this.producer(value);
    return node?.op === 'expand' ? node.inputs[0]! : value;
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
    return this.#one(op, [x], { axes: sorted, keepDims });
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

  #infer(op: OpName, inputs: readonly Value[], attributes: unknown): readonly ValueType[] {
    try {
      return opOf(op).infer(inputs, attributes);
    } catch (error) {
      if (!(error instanceof CxmindError)) throw error;
      throw new CxmindError(error.code, `${error.message} (${this.name})`, {
        detail: { ...error.detail, graph: this.name, inputs: inputs.map((input) => input.name) },
        cause: error,
      });
    }
  }

  #value(name: string, { dtype, shape }: ValueType): Value {
    return { id: this.#nextId++, name, dtype, shape };
  }

  #append(node: Node): void {
    this.#nodes.push(node);
    for (const output of node.outputs) this.#producers.set(output.id, node);
    this.#known.set(keyOf(node), node.outputs);
  }
}

/** What tells a node from all that compute something else. */
function keyOf({ op, inputs, attributes }: Pick<Node, 'op' | 'inputs' | 'attributes'>): string {
  return `${op}(${inputs.map((input) => input.id).join()})${attributesText(attributes)}`;
}

function productAttributes(a: Value, options: Partial<ProductAttributes>): ProductAttributes {
  const { transA = false, transB = false, alpha = 1, to } = options;
  const isPlain = to === undefined || to === a.dtype;
  return { transA, transB, alpha, ...(isPlain ? {} : { to }) };
}

type BinaryName =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'min'
  | 'max'
  | 'pow'
  | 'equal'
  | 'less'
  | 'greater'
  | 'and'
  | 'or';

/** The right operand that changes nothing. */
const neutralOf: Partial<Record<BinaryName, number>> = { add: 0, sub: 0, mul: 1, div: 1, pow: 1 };

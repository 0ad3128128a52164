import { isFloat, type Dim, type Value, type ValueType } from '../../ir.ts';
import { attentionKernel, gradientParts, type AttentionForm } from './packed-attention-kernels.ts';
import { attentionGradientKernels } from './packed-attention-gradient-kernels.ts';
import { dtypeError, sameShape, shapeError } from '../../shape.ts';
import type { FloatDType } from '../../../tensor/dtype.ts';
import { blank, type NdArray } from '../array.ts';
import { logSumExpOf } from '../numeric.ts';
import type { Emitter, OpFamily } from '../op.ts';

/** Heads of an attention. Equal groups of the `heads` query heads share one of the `kvHeads` key-value heads each. */
export interface PackedHeads {
  readonly heads: number;
  readonly kvHeads: number;
}

/** Attributes of attention over packed tokens. */
export interface PackedAttentionAttributes {
  readonly packedAttention: PackedHeads;
  readonly packedAttentionGradient: PackedHeads;
}

/**
 * Scaled dot-product attention over packed tokens, whose kernels never store scores.
 *
 * Inputs:
 * - joined rows `[T, H + 2 K, d]`: queries, then keys, then values
 * - `order i32 [T]`: the row at each place. A token has a place beside its row, so that those it sees are neighbours.
 * - `sees i32 [T, 4]`: the places that each row sees, `[a0, a1)` and `[b0, b1)`
 * - `seenBy i32 [T, 2]`: the places that see each row, always one run. It holds the same pairs as `sees`.
 *
 * @see FlashAttention-2, arXiv:2307.08691
 */
export const packedAttention: OpFamily<PackedAttentionAttributes> = {
  /** The attention. Outputs: the attended values `[T, H·d]`, and the log-sum-exp of each row's scores, f32 `[H, T]`. */
  packedAttention: {
    isCostly: true,
    infer(inputs, { heads, kvHeads }) {
      const [joined, order, sees, seenBy] = inputs as [ValueType, ValueType, ValueType, ValueType];
      const [tokens, rows, width] = joined.shape;
      const isJoined = joined.shape.length === 3 && rows === heads + 2 * kvHeads;
      if (!isJoined || typeof width !== 'number' || width % 2 !== 0 || heads % kvHeads !== 0) {
        throw shapeError('packedAttention', 'wants [T, H + 2 K, d], K parts of H, d even', inputs);
      }
      const isPaired = sameShape(sees.shape, [tokens!, 4]) && sameShape(seenBy.shape, [tokens!, 2]);
      if (!isPaired || !sameShape(order.shape, [tokens!])) {
        const what = 'order, sees and seenBy are [T], [T, 4], [T, 2]';
        throw shapeError('packedAttention', what, inputs);
      }
      if (!isFloat(joined.dtype) || [order, sees, seenBy].some(({ dtype }) => dtype !== 'i32')) {
        throw dtypeError('packedAttention', 'wants float rows, and i32 for who sees whom', inputs);
      }
      return [
        { dtype: joined.dtype, shape: [tokens!, heads * width] },
        { dtype: 'f32', shape: [heads, tokens!] },
      ];
    },
    emit({ inputs, outputs: [attended, logSumExp], attributes }, onnx) {
      const plain = new PlainAttention(onnx, inputs, attributes);
      const top = onnx.inner('ReduceMax', [plain.scores, onnx.ints([-1])]);
      const sum = onnx.inner('ReduceSum', [
        onnx.inner('Exp', [onnx.inner('Sub', [plain.scores, top])]),
        onnx.ints([-1]),
      ]);
      const total = onnx.inner('Add', [top, onnx.inner('Log', [sum])]);
      const mixed = onnx.inner('MatMul', [plain.weights(total), plain.values]);
      plain.write(plain.rowsOf(mixed), attended!);
      onnx.node('Reshape', [total, onnx.dims(logSumExp!.shape)], [logSumExp!]);
    },
    steps: ({ inputs: [joined], attributes }) => [attentionKernel(formOf(joined!, attributes))],
    vjp({ inputs, outputs, attributes }, [dy], g) {
      if (dy === undefined) return [];
      return [g.apply('packedAttentionGradient', [...inputs, ...outputs, dy], attributes)[0]!];
    },
    evaluate([joined, order, sees], attributes) {
      const rows = new Rows(joined!, order!, sees!, attributes);
      const attended = blank(joined!.dtype, [rows.tokens, rows.heads * rows.width]);
      const logSumExp = blank('f32', [rows.heads, rows.tokens]);
      rows.visit((row, head, keys) => {
        const scores = keys.map((key) => rows.score(row, head, key));
        const total = logSumExpOf(scores);
        logSumExp.data[head * rows.tokens + row] = total;
        keys.forEach((key, i) => {
          const weight = Math.exp(scores[i]! - total);
          for (let c = 0; c < rows.width; c++) {
            attended.data[rows.attended(row, head, c)]! +=
              weight * joined!.data[rows.value(key, head, c)]!;
          }
        });
      });
      return [attended, logSumExp];
    },
  },
  /**
   * The gradient of the joined rows.
   *
   * Inputs: those of the attention, its outputs, and the gradient of its attended values. Outputs beside the gradient are
   * memory that kernels need.
   */
  packedAttentionGradient: {
    isCostly: true,
    infer([joined, , , , , logSumExp], { heads, kvHeads }) {
      const [tokens, , width] = joined!.shape as [Dim, Dim, number];
      const parts = gradientParts({ heads, kvHeads });
      return [
        { dtype: joined!.dtype, shape: joined!.shape },
        { dtype: 'f32', shape: logSumExp!.shape },
        { dtype: 'f32', shape: [parts > 1 ? parts : 0, tokens, 2 * kvHeads, width] },
      ];
    },
    emit({ inputs, outputs: [joinedGradient], attributes }, onnx) {
      const [, , , , attended, logSumExp, gradient] = inputs;
      const plain = new PlainAttention(onnx, inputs, attributes);
      const [dO, delta] = [plain.perHead(gradient!), plain.dots(gradient!, attended!)];
      const weights = plain.weights(plain.column(logSumExp!));
      const dWeights = onnx.inner('MatMul', [dO, plain.transposed(plain.values)]);
      const pull = onnx.inner('Mul', [weights, onnx.inner('Sub', [dWeights, delta])]);
      const dScores = onnx.inner('Mul', [pull, onnx.scalar(plain.scale, 'f32')]);
      const dQueries = plain.rowsOf(onnx.inner('MatMul', [dScores, plain.keys]));
      const dKeys = plain.perKey(onnx.inner('MatMul', [plain.transposed(dScores), plain.queries]));
      const dValues = plain.perKey(onnx.inner('MatMul', [plain.transposed(weights), dO]));
      const parts = [dQueries, dKeys, dValues];
      plain.write(onnx.inner('Concat', parts, { axis: { int: 1 } }), joinedGradient!);
    },
    steps: ({ inputs: [joined], attributes }) =>
      attentionGradientKernels(formOf(joined!, attributes)),
    evaluate([joined, order, sees, , attended, logSumExp, gradient], attributes) {
      const rows = new Rows(joined!, order!, sees!, attributes);
      const { tokens, width } = rows;
      const result = blank(joined!.dtype, joined!.shape);
      const delta = blank('f32', logSumExp!.shape);
      rows.visit((row, head, keys) => {
        const dot = (other: NdArray, at: (c: number) => number): number => {
          let sum = 0;
          for (let c = 0; c < width; c++) {
            sum += gradient!.data[rows.attended(row, head, c)]! * other.data[at(c)]!;
          }
          return sum;
        };
        const own = dot(attended!, (c) => rows.attended(row, head, c));
        const total = logSumExp!.data[head * tokens + row]!;
        delta.data[head * tokens + row] = own;
        for (const key of keys) {
          const weight = Math.exp(rows.score(row, head, key) - total);
          const dWeight = dot(joined!, (c) => rows.value(key, head, c));
          const dScore = rows.scale * weight * (dWeight - own);
          for (let c = 0; c < width; c++) {
            const [q, k] = [rows.query(row, head, c), rows.key(key, head, c)];
            result.data[q]! += dScore * joined!.data[k]!;
            result.data[k]! += dScore * joined!.data[q]!;
            result.data[rows.value(key, head, c)]! +=
              weight * gradient!.data[rows.attended(row, head, c)]!;
          }
        }
      });
      const parts = gradientParts(attributes);
      const scratch = blank('f32', [parts > 1 ? parts : 0, tokens, 2 * attributes.kvHeads, width]);
      return [result, delta, scratch];
    },
  },
};

function formOf({ dtype, shape }: Value, heads: PackedHeads): AttentionForm {
  return { dtype: dtype as FloatDType, headDim: shape[2] as number, ...heads };
}

/** Offsets into joined rows and the pairs of rows that see each other, for the reference kernels. */
class Rows {
  readonly tokens: number;
  readonly heads: number;
  readonly width: number;
  readonly scale: number;
  readonly #kvHeads: number;
  readonly #joined: NdArray;
  readonly #order: NdArray;
  readonly #sees: NdArray;

  constructor(joined: NdArray, order: NdArray, sees: NdArray, { heads, kvHeads }: PackedHeads) {
    [this.tokens, , this.width] = joined.shape as [number, number, number];
    this.heads = heads;
    this.scale = 1 / Math.sqrt(this.width);
    this.#kvHeads = kvHeads;
    this.#joined = joined;
    this.#order = order;
    this.#sees = sees;
  }

  /** Calls `body(row, head, keys)` for every query, with the rows of the keys that it sees. */
  visit(body: (row: number, head: number, keys: readonly number[]) => void): void {
    for (let row = 0; row < this.tokens; row++) {
      const [a0, a1, b0, b1] = this.#sees.data.subarray(4 * row, 4 * row + 4);
      const places = Array.from({ length: this.tokens }, (_, place) => place).filter(
        (place) => (a0! <= place && place < a1!) || (b0! <= place && place < b1!),
      );
      const keys = places.map((place) => this.#order.data[place]!);
      for (let head = 0; head < this.heads; head++) body(row, head, keys);
    }
  }

  query(row: number, head: number, c: number): number {
    return (row * (this.heads + 2 * this.#kvHeads) + head) * this.width + c;
  }
  key(row: number, head: number, c: number): number {
    return this.query(row, this.heads + Math.floor((head * this.#kvHeads) / this.heads), c);
  }
  value(row: number, head: number, c: number): number {
    return this.key(row, head, c) + this.#kvHeads * this.width;
  }
  attended(row: number, head: number, c: number): number {
    return (row * this.heads + head) * this.width + c;
  }

  score(row: number, head: number, key: number): number {
    const { data } = this.#joined;
    let sum = 0;
    for (let c = 0; c < this.width; c++) {
      sum += data[this.query(row, head, c)]! * data[this.key(key, head, c)]!;
    }
    return this.scale * sum;
  }
}

/** The score of a place that a row does not see. */
const FORBIDDEN = -1e30;

/** Attention by ONNX's own ops, in f32, with every score in memory. Queries stand by rows, keys and values by places. */
class PlainAttention {
  readonly queries: string; // [K, H/K, T, d]
  readonly keys: string; // [K, 1, T, d]
  readonly values: string; // [K, 1, T, d]
  readonly scores: string; // [K, H/K, T, T]
  readonly scale: number;
  readonly #onnx: Emitter;
  readonly #order: Value;
  readonly #split: readonly [tokens: Dim, kvHeads: number, group: number, width: number];

  constructor(onnx: Emitter, inputs: readonly Value[], { heads, kvHeads }: PackedHeads) {
    const [joined, order, sees] = inputs as [Value, Value, Value];
    const [tokens, , width] = joined.shape as [Dim, Dim, number];
    this.#onnx = onnx;
    this.#order = order;
    this.#split = [tokens, kvHeads, heads / kvHeads, width];
    this.scale = 1 / Math.sqrt(width);
    const byRow = this.#wide(joined);
    const byPlace = onnx.inner('Gather', [byRow, this.#order], { axis: { int: 0 } });
    const part = (x: string, start: number, end: number): string =>
      onnx.inner('Slice', [x, onnx.ints([start]), onnx.ints([end]), onnx.ints([1])]);
    const ofKeys = (start: number): string => {
      const turned = this.#turned(part(byPlace, start, start + kvHeads), [1, 0, 2]);
      return onnx.inner('Unsqueeze', [turned, onnx.ints([1])]);
    };
    this.queries = this.#grouped(part(byRow, 0, heads));
    [this.keys, this.values] = [ofKeys(heads), ofKeys(heads + kvHeads)];
    const products = onnx.inner('MatMul', [this.queries, this.transposed(this.keys)]);
    const scaled = onnx.inner('Mul', [products, onnx.scalar(this.scale, 'f32')]);
    const forbidden = onnx.scalar(FORBIDDEN, 'f32');
    this.scores = onnx.inner('Where', [this.#mask(sees), scaled, forbidden]);
  }

  /** Weights exp(scores - total), with a total for each row of queries. */
  weights(total: string): string {
    return this.#onnx.inner('Exp', [this.#onnx.inner('Sub', [this.scores, total])]);
  }

  /** The dot product of two rows' heads, `[K, H/K, T, 1]`. */
  dots(a: Value, b: Value): string {
    const products = this.#onnx.inner('Mul', [this.perHead(a), this.perHead(b)]);
    return this.#onnx.inner('ReduceSum', [products, this.#onnx.ints([-1])]);
  }

  /** Attended rows `[T, H·d]`, as `[K, H/K, T, d]`. */
  perHead(x: Value): string {
    return this.#grouped(this.#wide(x));
  }

  /** Numbers `[H, T]` as `[K, H/K, T, 1]`. */
  column(x: Value): string {
    const [tokens, kvHeads, group] = this.#split;
    return this.#onnx.inner('Reshape', [
      this.#wide(x),
      this.#onnx.dims([kvHeads, group, tokens, 1]),
    ]);
  }

  /** Queries' numbers `[K, H/K, T, d]` as rows `[T, H, d]`. */
  rowsOf(x: string): string {
    const [tokens, kvHeads, group, width] = this.#split;
    const shape = [tokens, kvHeads * group, width];
    return this.#onnx.inner('Reshape', [this.#turned(x, [2, 0, 1, 3]), this.#onnx.dims(shape)]);
  }

  /** Numbers of keys by query heads `[K, H/K, T, d]`, summed over each group, as rows `[T, K, d]`. */
  perKey(x: string): string {
    const onnx = this.#onnx;
    const sum = onnx.inner('ReduceSum', [x, onnx.ints([1])], { keepdims: { int: 0 } });
    const byPlace = this.#turned(sum, [1, 0, 2]);
    const rows = onnx.inner('Unsqueeze', [onnx.cast(this.#order, 'i64'), onnx.ints([1])]);
    // Every row is written, so the data that the rows are written into do not matter.
    return onnx.inner('ScatterND', [byPlace, rows, byPlace]);
  }

  transposed(x: string): string {
    return this.#turned(x, [0, 1, 3, 2]);
  }

  /** Writes rows, rounded, under the value's shape. */
  write(rows: string, value: Value): void {
    const shaped = this.#onnx.inner('Reshape', [rows, this.#onnx.dims(value.shape)]);
    this.#onnx.node('Cast', [shaped], [value], { to: { dtype: value.dtype } });
  }

  /** Tells for each row and place whether the row sees the place, bool `[T, T]`. */
  #mask(sees: Value): string {
    const onnx = this.#onnx;
    const [tokens] = this.#split;
    const ones = onnx.inner('Expand', [onnx.scalar(1, 'f32'), onnx.dims([tokens])]);
    const counted = onnx.inner('CumSum', [ones, onnx.scalar(0, 'i64')], {
      exclusive: { int: 1 },
    });
    const places = onnx.inner('Unsqueeze', [counted, onnx.ints([0])]);
    const bounds = onnx.cast(sees, 'f32');
    const bound = (i: number): string =>
      onnx.inner('Gather', [bounds, onnx.ints([i])], { axis: { int: 1 } });
    const within = (i: number): string =>
      onnx.inner('And', [
        onnx.inner('GreaterOrEqual', [places, bound(i)]),
        onnx.inner('Less', [places, bound(i + 1)]),
      ]);
    return onnx.inner('Or', [within(0), within(2)]);
  }

  #wide(x: Value): string {
    return this.#onnx.cast(x, 'f32');
  }

  #grouped(rows: string): string {
    return this.#turned(
      this.#onnx.inner('Reshape', [rows, this.#onnx.dims(this.#split)]),
      [1, 2, 0, 3],
    );
  }

  #turned(x: string, perm: readonly number[]): string {
    return this.#onnx.inner('Transpose', [x], { perm: { ints: perm } });
  }
}

import { isFloat, type Dim, type Node, type Value, type ValueType } from '../ir.ts';
import { axisOf, dtypeError, shapeError } from '../shape.ts';
import { aroundAxis, blank, broadcastStrides, walk, type NdArray } from './array.ts';
import { sizeOf } from '../../tensor/tensor.ts';
import type { GraphBuilder } from '../builder.ts';
import { logSumExpOf } from './numeric.ts';
import { asNode, type Call, type Emitter, type Op, type OpFamily } from './op.ts';

/** Axes of a reduction: at least one, counted from the front, none twice, in rising order. */
export interface ReduceAttributes {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

/** Attributes of the reductions. */
export interface ReductionAttributes {
  readonly reduceSum: ReduceAttributes;
  readonly reduceMean: ReduceAttributes;
  readonly reduceMax: ReduceAttributes;
  readonly softmax: { readonly axis: number };
  readonly logSoftmax: { readonly axis: number };
}

function reducedShape<D extends Dim>(shape: readonly D[], axes: readonly number[]): (D | 1)[] {
  return shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
}

function inferReduced(x: ValueType, { axes, keepDims }: ReduceAttributes): ValueType[] {
  // An empty list means all axes to ONNX, and nothing to reduce to the builder.
  if (axes.length === 0) throw shapeError('reduce', 'wants one axis at least', [x]);
  const shape = keepDims
    ? reducedShape(x.shape, axes)
    : x.shape.filter((_, axis) => !axes.includes(axis));
  return [{ dtype: x.dtype, shape }];
}

function emitReduce(type: string) {
  return ({ inputs, outputs, attributes }: Call<ReduceAttributes>, onnx: Emitter): void => {
    const keepdims = { int: Number(attributes.keepDims) };
    onnx.node(type, [...inputs, onnx.ints(attributes.axes)], outputs, { keepdims });
  };
}

/** A reduced value with size 1 on the axes that were reduced. */
function kept(g: GraphBuilder, reduced: Value, { axes, keepDims }: ReduceAttributes): Value {
  return keepDims ? reduced : g.unsqueeze(reduced, axes);
}

function fold(
  x: NdArray,
  { axes, keepDims }: ReduceAttributes,
  start: number,
  f: (total: number, value: number) => number,
): NdArray {
  const shape = reducedShape(x.shape, axes);
  const result = blank(x.dtype, shape);
  result.data.fill(start);
  walk(x.shape, [broadcastStrides(shape, x.shape)], (position, [offset]) => {
    result.data[offset!] = f(result.data[offset!]!, x.data[position]!);
  });
  return keepDims ? result : { ...result, shape: x.shape.filter((_, i) => !axes.includes(i)) };
}

const countOf = (x: NdArray, axes: readonly number[]): number =>
  sizeOf(axes.map((axis) => x.shape[axis]!));

function rowwise(x: NdArray, axis: number, f: (row: number[]) => number[]): NdArray {
  const { outer, size, inner } = aroundAxis(x.shape, axis);
  const result = blank(x.dtype, x.shape);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const at = (k: number): number => (o * size + k) * inner + i;
      const row = f(Array.from({ length: size }, (_, k) => x.data[at(k)]!));
      row.forEach((value, k) => (result.data[at(k)] = value));
    }
  }
  return result;
}

function normalizer(
  name: string,
  type: string,
  f: (row: number[]) => number[],
  vjp: (g: GraphBuilder, dy: Value, y: Value, axis: number) => Value,
): Op<{ readonly axis: number }> {
  return {
    isCostly: true,
    infer([x], { axis }) {
      if (!isFloat(x!.dtype)) throw dtypeError(name, 'wants a float dtype', [x!]);
      axisOf(name, axis, x!.shape.length);
      return [{ dtype: x!.dtype, shape: x!.shape }];
    },
    emit: asNode(type, ({ axis }) => ({ axis: { int: axis } })),
    vjp({ outputs: [y], attributes: { axis } }, [dy], g) {
      return [dy && g.cast(vjp(g, g.cast(dy, 'f32'), g.cast(y!, 'f32'), axis), dy.dtype)];
    },
    evaluate: ([x], { axis }) => [rowwise(x!, axis, f)],
  };
}

/**
 * The gradient of log-softmax: dy - exp(y) sum(dy).
 *
 * The gradient of a log-likelihood is zero but for the picked elements. It is added there to the second term, and never
 * written out over the axis.
 */
function logSoftmaxGradient(g: GraphBuilder, dy: Value, y: Value, axis: number): Value {
  const scatter = g.producer(dy);
  if (scatter?.op === 'scatterElements' && g.isZero(scatter.inputs[0]!)) {
    const { attributes, inputs } = scatter as Node<'scatterElements'>;
    const [, index, updates] = inputs;
    if (attributes.axis === axis) {
      const total = g.reduceSum(updates!, [axis], true);
      return g.scatterElements(g.mul(g.exp(y), g.neg(total)), index!, updates!, axis);
    }
  }
  return g.sub(dy, g.mul(g.exp(y), g.reduceSum(dy, [axis], true)));
}

/** Reductions and the normalised exponentials. */
export const reduce: OpFamily<ReductionAttributes> = {
  reduceSum: {
    infer: ([x], attributes) => inferReduced(x!, attributes),
    emit: emitReduce('ReduceSum'),
    vjp({ inputs: [x], attributes }, [dy], g) {
      return [dy && g.expand(kept(g, dy, attributes), x!.shape)];
    },
    evaluate: ([x], attributes) => [fold(x!, attributes, 0, (a, b) => a + b)],
  },
  reduceMean: {
    infer: ([x], attributes) => inferReduced(x!, attributes),
    emit: emitReduce('ReduceMean'),
    vjp({ inputs: [x], attributes }, [dy], g) {
      if (dy === undefined) return [];
      const share = g.div(g.cast(dy, 'f32'), g.size(x!, attributes.axes, 'f32'));
      return [g.expand(kept(g, g.cast(share, dy.dtype), attributes), x!.shape)];
    },
    evaluate([x], attributes) {
      const sum = fold(x!, attributes, 0, (a, b) => a + b);
      const count = countOf(x!, attributes.axes);
      return [{ ...sum, data: sum.data.map((value) => value / count) }];
    },
  },
  reduceMax: {
    infer: ([x], attributes) => inferReduced(x!, attributes),
    emit: emitReduce('ReduceMax'),
    vjp({ inputs: [x], outputs: [y], attributes }, [dy], g) {
      if (dy === undefined) return [];
      const isTop = g.cast(g.equal(x!, kept(g, y!, attributes)), dy.dtype);
      const share = g.div(isTop, g.reduceSum(isTop, attributes.axes, true));
      return [g.mul(share, kept(g, dy, attributes))];
    },
    evaluate: ([x], attributes) => [fold(x!, attributes, -Infinity, Math.max)],
  },
  softmax: normalizer(
    'softmax',
    'Softmax',
    (row) => {
      const total = logSumExpOf(row);
      return row.map((value) => Math.exp(value - total));
    },
    (g, dy, y, axis) => g.mul(g.sub(dy, g.reduceSum(g.mul(dy, y), [axis], true)), y),
  ),
  logSoftmax: normalizer(
    'logSoftmax',
    'LogSoftmax',
    (row) => {
      const total = logSumExpOf(row);
      return row.map((value) => value - total);
    },
    logSoftmaxGradient,
  ),
};

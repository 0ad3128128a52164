import type { GraphBuilder } from '../builder.ts';
import { isFloat, type Node, type Value } from '../ir.ts';
import type { OpName } from '../ops/table.ts';
import type { Rule } from '../passes.ts';
import { sameShape } from '../shape.ts';

/**
 * Rewrites norms, softmaxes, means and products by a single row or column as nodes that kernels can fuse.
 *
 * Those are elementwise ops, and sums and maxima along rows or over rows. They compute in f32 and round once.
 */
export const inKernelForm: Rule = (node, inputs, { g }) => {
  const [x, y] = inputs;
  if (isOf(node, 'rmsNorm')) return rmsNorm(g, node, x!, y!);
  if (isOf(node, 'softmax', 'logSoftmax')) return softmax(g, node, x!);
  if (isOf(node, 'reduceSum', 'reduceMax', 'reduceMean')) return reduction(g, node, x!);
  return isOf(node, 'matMul', 'gemm') ? product(g, node, inputs) : undefined;
};

function isOf<K extends OpName>(node: Node, ...ops: readonly K[]): node is Node<K> {
  return (ops as readonly OpName[]).includes(node.op);
}

function rmsNorm(
  g: GraphBuilder,
  { attributes: { epsilon } }: Node<'rmsNorm'>,
  x: Value,
  weight: Value,
): Value[] {
  const wide = g.cast(x, 'f32');
  const mean = meanOfRow(g, g.mul(wide, wide));
  const inverse = g.reciprocal(g.sqrt(g.add(mean, g.scalar(epsilon))));
  const y = g.mul(g.mul(wide, inverse), g.cast(weight, 'f32'));
  return [g.cast(y, x.dtype), inverse];
}

function meanOfRow(g: GraphBuilder, x: Value): Value {
  const last = x.shape.length - 1;
  return g.div(g.reduceSum(x, [last], true), g.size(x, [last], 'f32'));
}

function softmax(
  g: GraphBuilder,
  { op, attributes: { axis } }: Node<'softmax' | 'logSoftmax'>,
  x: Value,
): Value[] | undefined {
  if (axis !== x.shape.length - 1 || axis === 0) return undefined;
  const wide = g.cast(x, 'f32');
  const shifted = g.sub(wide, g.reduceMax(wide, [axis], true));
  const powers = g.exp(shifted);
  const total = g.reduceSum(powers, [axis], true);
  const y = op === 'softmax' ? g.div(powers, total) : g.sub(shifted, g.log(total));
  return [g.cast(y, x.dtype)];
}

/** A reduction along rows keeps its axis, and a mean is a sum over a count. */
function reduction(
  g: GraphBuilder,
  {
    op,
    attributes: { axes, keepDims },
    outputs: [y],
  }: Node<'reduceSum' | 'reduceMax' | 'reduceMean'>,
  x: Value,
): Value[] | undefined {
  const last = x.shape.length - 1;
  const isOfRow = axes.length === 1 && axes[0] === last && last > 0;
  const isOverRows = axes.every((axis, i) => axis === i);
  if (!isFloat(x.dtype) || (op === 'reduceMax' ? !isOfRow : !isOfRow && !isOverRows)) {
    return undefined;
  }
  if (op !== 'reduceMean' && (keepDims || !isOfRow)) return undefined;
  const wide = g.cast(x, 'f32');
  if (op === 'reduceMax')
    return [g.cast(g.reshape(g.reduceMax(wide, axes, true), y!.shape), x.dtype)];
  const sum = g.reduceSum(wide, axes, isOfRow || keepDims);
  const result = op === 'reduceMean' ? g.div(sum, g.size(x, axes, 'f32')) : sum;
  return [g.cast(g.reshape(result, y!.shape), x.dtype)];
}

/** A product whose result, or whose inner dimension, is a single row or column. */
function product(
  g: GraphBuilder,
  node: Node<'matMul' | 'gemm'>,
  [a, b, c]: readonly Value[],
): Value[] | undefined {
  const [y] = node.outputs;
  if (c !== undefined && !sameShape(c.shape, y!.shape)) {
    return [g.add(g.apply(node.op, [a!, b!], node.attributes)[0]!, c)];
  }
  if (a!.shape.length !== 2 || b!.shape.length !== 2) return undefined;
  const { transA, transB, alpha } = node.attributes;
  const [m, n] = y!.shape as [Value['shape'][number], Value['shape'][number]];
  const k = a!.shape[transA ? 0 : 1]!;
  const [left, right] = [g.cast(a!, 'f32'), g.cast(b!, 'f32')];
  const scaled = (sum: Value): Value[] => {
    const times = g.mul(sum, g.scalar(alpha));
    const whole = c === undefined ? times : g.add(times, g.cast(c, 'f32'));
    return [g.cast(whole, y!.dtype)];
  };
  if (k === 1) {
    return scaled(g.mul(g.reshape(left, [m, 1]), g.reshape(right, [1, n])));
  }
  if (n === 1 && !transA) {
    return scaled(g.reduceSum(g.mul(left, g.reshape(right, [k])), [1], true));
  }
  if (m === 1 && !transB) {
    return scaled(g.reduceSum(g.mul(g.reshape(left, [k, 1]), right), [0], true));
  }
  return undefined;
}

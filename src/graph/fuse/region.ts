/** Regions, the parts of a graph that become one kernel, and the questions that decide which nodes may join one. */
import { numbersOf } from '../../tensor/numbers.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { isFloat, type Dim, type Node, type Value } from '../ir.ts';
import type { ReduceAttributes } from '../ops/reduce.ts';
import { opOf } from '../ops/table.ts';

/** Nodes that become one kernel, and the space that it walks. */
export interface Region {
  readonly space: readonly Dim[];
  /** The nodes, in an order in which they can run. */
  readonly nodes: readonly Node[];
  /** The values that it reads; constants of one element stand in its source. */
  readonly inputs: readonly Value[];
  /** Further inputs of the graph, read for their sizes only. */
  readonly sizes: readonly Value[];
  readonly outputs: readonly Value[];
  readonly numbers: ReadonlyMap<number, number>;
}

/** The pattern in which a node computes over a space: by element, or a reduction of each row or of each column. */
type OpPattern = 'map' | 'row' | 'column';

/** The pattern of a node that kernels can compute, undefined for others. */
export function patternOf(node: Node): OpPattern | undefined {
  const { op, inputs, attributes } = node;
  if (op === 'expand' || op === 'size' || opOf(node).expression !== undefined) return 'map';
  if ((op !== 'reduceSum' && op !== 'reduceMax') || !isFloat(inputs[0]!.dtype)) return undefined;
  const { axes, keepDims } = attributes as ReduceAttributes;
  const rank = inputs[0]!.shape.length;
  if (keepDims && axes.length === 1 && axes[0] === rank - 1 && rank > 1) return 'row';
  return op === 'reduceSum' && axes.every((axis, i) => axis === i) ? 'column' : undefined;
}

/** True if computing a node costs less than reading its value, so that kernels which read it compute it themselves. */
export function isFree({ op, inputs, outputs }: Node): boolean {
  return (
    op === 'expand' ||
    op === 'size' ||
    (op === 'cast' && outputs[0]!.dtype === 'f32' && isNarrow(inputs[0]!))
  );
}

function isNarrow({ dtype }: Value): boolean {
  return dtype === 'bf16' || dtype === 'f16' || dtype === 'bool' || dtype === 'u8';
}

/** The dimensions whose product a `size` node gives, which kernels take as an argument; none of other nodes. */
export function dimsOf(node: Node): readonly Dim[] {
  return node.op === 'size' ? (node as Node<'size'>).attributes.dims : [];
}

/** The numbers of constants of one element, by value id. */
export function numbersIn(constants: ReadonlyMap<number, Tensor>): ReadonlyMap<number, number> {
  return new Map(
    [...constants]
      .filter(([, { data }]) => data.length === 1)
      .map(([id, tensor]) => [id, numbersOf(tensor)[0]!]),
  );
}

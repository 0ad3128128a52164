import { numbersOf } from '../../tensor/numbers.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { isFloat, type Dim, type Node, type Value } from '../ir.ts';
import type { ReduceAttributes } from '../ops/reduce.ts';
import { opOf } from '../ops/table.ts';

/** Nodes that become one kernel, which walks their space row by row. */
export interface Region {
  readonly space: readonly Dim[];
  /** In an order in which they can run. */
  readonly nodes: readonly Node[];
  /** What it reads; the numbers among the constants stand in its source. */
  readonly inputs: readonly Value[];
  /** Graph inputs behind them that only show sizes. */
  readonly sizes: readonly Value[];
  readonly outputs: readonly Value[];
  readonly numbers: ReadonlyMap<number, number>;
}

/** What a node does with the elements of a space: one by one, or adding up those of a row, or of a column. */
export type Manner = 'map' | 'row' | 'column';

/** The manner of a node that kernels can compute, undefined for others. */
export function mannerOf(node: Node): Manner | undefined {
  const { op, inputs, attributes } = node;
  if (op === 'expand' || op === 'size' || opOf(node).expression !== undefined) return 'map';
  if ((op !== 'reduceSum' && op !== 'reduceMax') || !isFloat(inputs[0]!.dtype)) return undefined;
  const { axes, keepDims } = attributes as ReduceAttributes;
  const rank = inputs[0]!.shape.length;
  if (keepDims && axes.length === 1 && axes[0] === rank - 1 && rank > 1) return 'row';
  return op === 'reduceSum' && axes.every((axis, i) => axis === i) ? 'column' : undefined;
}

/** A node that costs less than reading what it makes: kernels that read it compute it themselves. */
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

/** The sizes that a node computes with, a number of which kernels are told. */
export function dimsOf(node: Node): readonly Dim[] {
  return node.op === 'size' ? (node as Node<'size'>).attributes.dims : [];
}

/** The constants of one element. */
export function numbersIn(constants: ReadonlyMap<number, Tensor>): ReadonlyMap<number, number> {
  return new Map(
    [...constants]
      .filter(([, { data }]) => data.length === 1)
      .map(([id, tensor]) => [id, numbersOf(tensor)[0]!]),
  );
}

import { evaluate } from '../../src/graph/interpret.ts';
import { isFloat, type Graph, type Node } from '../../src/graph/ir.ts';
import type { NdArray } from '../../src/graph/ops/array.ts';
import type { OpName } from '../../src/graph/ops/table.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import type { Tolerance } from './assert-close.ts';

/** Unit roundoff: by how much of itself a number changes at most when it is rounded to a dtype. */
export const unitRoundoff: Readonly<Record<FloatDType, number>> = {
  f32: 2 ** -24,
  f16: 2 ** -11,
  bf16: 2 ** -8,
};

/** Ops that add up many terms, which every provider does in f32 and in its own order. */
const accumulating: ReadonlySet<OpName> = new Set<OpName>([
  'addRows',
  'attend',
  'cachedAttention',
  'cumSum',
  'drawTokens',
  'gemm',
  'groupedOuterProduct',
  'groupedProduct',
  'logSoftmax',
  'matMul',
  'packedAttention',
  'packedAttentionGradient',
  'reduceMean',
  'reduceSum',
  'rmsNorm',
  'scatterElements',
  'softmax',
  'tokenEntropies',
  'tokenLogProbs',
]);

/** Ops that only move elements, and so round nothing. */
const moving: ReadonlySet<OpName> = new Set<OpName>([
  'concat',
  'expand',
  'gather',
  'gatherElements',
  'permuteRows',
  'reshape',
  'slice',
  'split',
  'topK',
  'transpose',
]);

/** Errors of the ops of a device, as shares of the largest number there is. */
export type OpErrors = Readonly<Partial<Record<OpName, number>>>;

/**
 * Largest distance between two evaluations of a graph. Both round every value to its dtype, but a step sooner or
 * later, and add up in f32 in different orders.
 *
 * Along the longest chain of ops, each adds twice the unit roundoff of its dtype (one evaluation rounds up where the
 * other rounds down), and f32's for every term that it accumulates, all of them times the largest number there is.
 *
 * @param own errors of ops that one of the two does not compute as well as its dtype allows
 */
export function roundingError(
  graph: Graph,
  inputs: Readonly<Record<string, NdArray>>,
  own: OpErrors = {},
): Required<Tolerance> {
  const all = graph.nodes.flatMap(({ outputs }) => outputs);
  const outputs = all.map((value) => ({ name: String(value.id), value }));
  const values = { ...inputs, ...evaluate({ ...graph, outputs }, inputs) };
  const sizes = Object.values(values).map(({ data }) => data.length);
  const terms = sizes.reduce((a, b) => Math.max(a, b), 1);
  let largest = 1;
  for (const { dtype, data } of Object.values(values)) {
    if (!isFloat(dtype)) continue;
    for (const number of data)
      if (Number.isFinite(number)) largest = Math.max(largest, Math.abs(number));
  }
  const errors = new Map<number, number>();
  let longest = 0;
  for (const node of graph.nodes) {
    const before = node.inputs.reduce((most, { id }) => Math.max(most, errors.get(id) ?? 0), 0);
    const error = before + errorOf(node, terms) + (own[node.op] ?? 0);
    for (const { id } of node.outputs) errors.set(id, error);
    longest = Math.max(longest, error);
  }
  return { rtol: 0, atol: largest * longest };
}

function errorOf({ op, outputs }: Node, terms: number): number {
  const { dtype } = outputs[0]!;
  if (!isFloat(dtype) || moving.has(op)) return 0;
  return 2 * unitRoundoff[dtype] + (accumulating.has(op) ? terms * unitRoundoff.f32 : 0);
}

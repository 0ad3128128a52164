import { isFloat, type Graph, type Node, type Value } from './ir.ts';
import type { OpName } from './ops/table.ts';
import { rewrite } from './passes.ts';

/** What a provider can compute; all that is f32 it always can. */
export interface Target {
  readonly name: string;
  /** Whether it has a kernel for a node some of whose values are f16 or bf16. */
  readonly hasKernel: (node: Node) => boolean;
}

const moving: ReadonlySet<OpName> = new Set<OpName>([
  'cast',
  'concat',
  'gather',
  'gatherElements',
  'reshape',
  'size',
  'slice',
  'split',
  'transpose',
]);

/** ONNX Runtime's CPU provider: halves it moves and casts, and computes nothing in them. */
export const cpu: Target = { name: 'cpu', hasKernel: ({ op }) => moving.has(op) };

/** ONNX Runtime's WebGPU provider: it computes in f16 as in f32, and has no bf16. */
export const webgpu: Target = {
  name: 'webgpu',
  hasKernel: ({ inputs, outputs }) => ![...inputs, ...outputs].some(({ dtype }) => dtype === 'bf16'),
};

/**
 * The graph with every node that the target has no kernel for computed in f32, between casts.
 *
 * Each such node rounds its results to their dtype, as a kernel of its own would, so the values are those of the
 * graph as it was written. A graph that needs nothing is returned as it is.
 */
export function lower(graph: Graph, target: Target): Graph {
  const isComputed = (node: Node): boolean =>
    ![...node.inputs, ...node.outputs].some(isHalf) || target.hasKernel(node);
  if (graph.nodes.every(isComputed)) return graph;
  return rewrite(graph, (node, inputs, { g }) => {
    if (isComputed(node)) return undefined;
    const widened = inputs.map((input) => (isHalf(input) ? g.cast(input, 'f32') : input));
    const outputs = g.apply(node.op, widened, node.attributes);
    return outputs.map((output, i) => g.cast(output, node.outputs[i]!.dtype));
  });
}

function isHalf({ dtype }: Value): boolean {
  return isFloat(dtype) && dtype !== 'f32';
}

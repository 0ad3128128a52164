/** The encoder from graphs to ONNX models: bytes of a ModelProto, and the custom ops that its nodes name. */
import type { Graph, Node } from './ir.ts';
import { encodeModel, valueInfo } from './onnx-proto.ts';
import { OnnxWriter } from './onnx-writer.ts';
import { opOf } from './ops/table.ts';
import { kernelNodeOf, scheduled, type KernelNode, type Schedule } from './schedule.ts';
import { cpu, type Target } from './target.ts';

const irVersion = 10;
const opsetVersion = 21;

/** The domain of custom ops in a model. */
export const kernelDomain = 'cxmind';

/** A model, and the custom ops that run its nodes of the domain `cxmind`. */
interface EncodedModel {
  /** Bytes of an ONNX ModelProto. */
  readonly model: Uint8Array;
  readonly kernelNodes: readonly KernelNode[];
}

/**
 * Encodes a graph for a target that runs every node by its provider.
 *
 * @returns bytes of an ONNX ModelProto, as `encodeScheduled` makes them
 */
export function encode(graph: Graph, target: Target = cpu): Uint8Array {
  return encodeScheduled(scheduled(graph, target), target).model;
}

/**
 * Encodes a scheduled graph as an ONNX model of opset 21 and ONNX Runtime's own domain, with custom ops where the target
 * has kernels.
 *
 * Nodes that no output needs are left out. Inputs and outputs stay as they are.
 *
 * @throws GRAPH_INVALID when a symbolic dimension must be computed and no input's shape has it
 */
export function encodeScheduled({ graph: pruned, units }: Schedule, target: Target): EncodedModel {
  const writer = new OnnxWriter(pruned, units);
  const kernelNodes: KernelNode[] = [];
  for (const unit of units) {
    const node = kernelNodeOf(unit, target, kernelNodes.length);
    if (node === undefined) {
      opOf(unit as Node).emit!(unit as Node, writer);
      continue;
    }
    kernelNodes.push(node);
    writer.node(node.type, node.inputs, node.outputs, {}, kernelDomain);
  }
  for (const { name, value } of pruned.outputs) {
    if (writer.name(value) !== name) writer.node('Identity', [value], [name]);
  }
  const model = encodeModel({
    irVersion,
    producerName: 'cxmind',
    graph: {
      name: pruned.name,
      node: writer.nodes,
      initializer: writer.initializers,
      input: pruned.inputs.map((input) => valueInfo(input.name, input)),
      output: pruned.outputs.map(({ name, value }) => valueInfo(name, value)),
    },
    opsetImport: [
      { domain: '', version: opsetVersion },
      { domain: 'com.microsoft', version: 1 },
      ...(kernelNodes.length > 0 ? [{ domain: kernelDomain, version: 1 }] : []),
    ],
  });
  return { model, kernelNodes };
}

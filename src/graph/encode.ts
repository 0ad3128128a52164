/** The encoder from graphs to ONNX models: bytes of a ModelProto, and the custom ops that its nodes name. */
import { fuse, type Fused } from './fuse/fuse.ts';
import type { Graph, Node, Value, ValueType } from './ir.ts';
import type { Step } from './kernel.ts';
import { encodeModel, valueInfo } from './onnx-proto.ts';
import { OnnxWriter, type Ends } from './onnx-writer.ts';
import { opOf } from './ops/table.ts';
import { prune } from './passes.ts';
import { cpu, lower, type Target } from './target.ts';

const irVersion = 10;
const opsetVersion = 21;

/** The domain of custom ops in a model. */
export const kernelDomain = 'cxmind';

/** A node that runs as a custom op. */
export interface KernelNode {
  /** Op type in the model, which no other node has. */
  readonly type: string;
  readonly inputs: readonly ValueType[];
  readonly outputs: readonly ValueType[];
  readonly steps: readonly Step[];
}

/** A model, and the custom ops that run its nodes of the domain `cxmind`. */
interface EncodedModel {
  /** Bytes of an ONNX ModelProto. */
  readonly model: Uint8Array;
  readonly kernelNodes: readonly KernelNode[];
}

/** A graph as a target runs it: lowered, without dead nodes, and the nodes and kernels in the order of their runs. */
interface Schedule {
  readonly graph: Graph;
  readonly units: readonly (Node | Fused)[];
}

/** Lowers a graph to a target, and fuses what the target fuses. */
export function scheduled(graph: Graph, target: Target): Schedule {
  const pruned = prune(lower(graph, target));
  return { graph: pruned, units: target.isFusing === true ? fuse(pruned) : pruned.nodes };
}

/**
 * Encodes a graph for a target that runs every node by its provider.
 *
 * @returns bytes of an ONNX ModelProto, as of `encodeWithKernels`
 * @throws GRAPH_INVALID when a symbolic dimension must be computed and no input's shape has it
 */
export function encode(graph: Graph, target: Target = cpu): Uint8Array {
  return encodeWithKernels(graph, target).model;
}

/**
 * Encodes a graph as an ONNX model of opset 21 and ONNX Runtime's own domain, with custom ops where the target has
 * kernels.
 *
 * Nodes that no output needs are left out. Inputs and outputs stay as they are.
 *
 * @throws GRAPH_INVALID when a symbolic dimension must be computed and no input's shape has it
 */
export function encodeWithKernels(graph: Graph, target: Target): EncodedModel {
  const { graph: pruned, units } = scheduled(graph, target);
  const writer = new OnnxWriter(pruned, units);
  const kernelNodes: KernelNode[] = [];
  const write = (name: string, { inputs, outputs }: Ends, steps: readonly Step[]): void => {
    const type = `${name}_${kernelNodes.length}`;
    kernelNodes.push({ type, inputs, outputs, steps });
    const names = (values: readonly Value[]): string[] => values.map((value) => writer.name(value));
    writer.node(type, names(inputs), names(outputs), {}, kernelDomain);
  };
  for (const unit of units) {
    if ('steps' in unit) {
      write(unit.name, unit, unit.steps);
      continue;
    }
    const steps = target.stepsOf?.(unit);
    if (steps === undefined) opOf(unit).emit!(unit, writer);
    else write(unit.op, unit, steps);
  }
  for (const { name, value } of pruned.outputs) {
    if (writer.name(value) !== name) writer.node('Identity', [writer.name(value)], [name]);
  }
  const model = encodeModel({
    irVersion,
    producerName: 'cxmind',
    graph: {
      name: graph.name,
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

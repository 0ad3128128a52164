/**
 * Reverse-mode automatic differentiation of a graph, split into a forward and a backward graph.
 *
 * It works as PyTorch's AOTAutograd does. The joint graph is the forward graph followed by the vector-Jacobian product
 * of each of its nodes, last node first. `partition.ts` cuts the joint graph in two, and `min-cut.ts` chooses the values
 * that cross the cut. There are four deviations from the textbook:
 *
 * - A rule (`Op.vjp`) may return a gradient that is broadcast. The reverse walk sums it to its value's shape.
 * - The backward graph may read a cheaper equal in place of a forward value (`Op.substitutes`).
 * - The backward graph can add a gradient to an accumulator, in the product that makes the gradient (`accumulate.ts`).
 * - There are first derivatives only. The ops that rules write need no rules of their own.
 */
import { CxmindError } from '../errors.ts';
import { accumulated } from './accumulate.ts';
import { GraphBuilder } from './builder.ts';
import { isFloat, type Dim, type Graph, type Value } from './ir.ts';
import { opOf } from './ops/table.ts';
import { partition, type ForwardAndBackward, type Substitution } from './partition.ts';
import { optimize } from './passes.ts';
import { sameShape } from './shape.ts';

/** Inputs to differentiate by, and values to keep for the backward graph. */
export interface DifferentiateOptions {
  /** Names of the inputs whose gradients are wanted. */
  readonly wrt: readonly string[];
  /** `needed` saves the values that are costly to compute again. `inputs` saves none: backward computes all again. */
  readonly save: 'needed' | 'inputs';
  /** Members of `wrt` whose gradient is added to the input `accum.<name>`. */
  readonly accumulate?: readonly string[];
}

/**
 * Derives the graph that turns gradients of a graph's float outputs into gradients of its inputs.
 *
 * The backward graph takes:
 * - the inputs of the forward graph and its outputs `saved.<value>`, as far as it reads them;
 * - `grad.<output>` for every float output that depends on `wrt`;
 * - `accum.<input>`, f32, for every input in `accumulate`.
 *
 * It gives `grad.<input>` for every input in `wrt`, in the input's dtype, or in f32 where it is accumulated. One node
 * alone reads `accum.<input>`, and the node that writes `grad.<input>` is that node or follows from it. So both may be
 * bound to one memory.
 *
 * @throws GRAPH_INVALID when a name in `wrt` or `accumulate` is not a float input
 * @throws RULE_MISSING when an op without a gradient stands between an input and an output
 */
export function differentiate(graph: Graph, options: DifferentiateOptions): ForwardAndBackward {
  const { wrt, save, accumulate = [] } = options;
  const source = optimize(graph);
  const targets = wrt.map((name) => floatInput(source, name));
  for (const name of accumulate) {
    if (!wrt.includes(name)) {
      throw new CxmindError('GRAPH_INVALID', `${graph.name}: accumulate '${name}' is not in wrt`);
    }
  }
  // The joint graph: first the forward nodes, of the source and of substitutes, then the gradients.
  const joint = GraphBuilder.from(source);
  const substitutions = save === 'needed' ? writeSubstitutes(source, joint) : [];
  const forwardNodes = joint.build().nodes;
  const gradients = writeGradients(source, joint, targets);
  for (const target of targets) {
    const gradient = gradients.get(target.id) ?? joint.zeros(target.dtype, target.shape);
    joint.output(`grad.${target.name}`, gradient);
  }
  const outputs = accumulated(joint, targets, new Set(accumulate));
  const whole = { ...joint.build(), outputs };
  return partition({ source, graph: whole, forwardNodes, substitutions }, save);
}

function floatInput(graph: Graph, name: string): Value {
  const input = graph.inputs.find((candidate) => candidate.name === name);
  if (input === undefined || !isFloat(input.dtype)) {
    const names = graph.inputs.filter((value) => isFloat(value.dtype)).map((value) => value.name);
    throw new CxmindError(
      'GRAPH_INVALID',
      `${graph.name}: '${name}' is not a float input; those are ${names.join(', ')}`,
    );
  }
  return input;
}

/** Adds the substitutes of the graph's values to the builder. */
function writeSubstitutes(graph: Graph, g: GraphBuilder): Substitution[] {
  return graph.nodes.flatMap((node) => {
    const substitutes = opOf(node).substitutes?.(node, g) ?? [];
    return substitutes.flatMap((substitute, i) =>
      substitute === undefined ? [] : [{ original: node.outputs[i]!, substitute }],
    );
  });
}

/** Adds the nodes that compute gradients to the builder; returns the gradients by the id of their value. */
function writeGradients(
  graph: Graph,
  g: GraphBuilder,
  targets: readonly Value[],
): Map<number, Value> {
  // Other values get no gradient: nobody wants it, and their ops may have no rule.
  const active = dependents(graph, targets);
  const gradients = new Map<number, Value>();
  // The gradient of a value is the sum of those that its readers give.
  const add = (value: Value, gradient: Value): void => {
    const own = summedTo(g, gradient, value.shape);
    const others = gradients.get(value.id);
    gradients.set(value.id, others === undefined ? own : g.add(others, own));
  };
  for (const { name, value } of graph.outputs) {
    if (active.has(value.id)) add(value, g.input(`grad.${name}`, value.dtype, value.shape));
  }
  for (const node of graph.nodes.toReversed()) {
    const outputGradients = node.outputs.map((output) => gradients.get(output.id));
    if (outputGradients.every((gradient) => gradient === undefined)) continue;
    const op = opOf(node);
    if (op.vjp === undefined) {
      throw new CxmindError(
        'RULE_MISSING',
        `${node.op} has no gradient, yet stands between an input and an output (${graph.name})`,
      );
    }
    const inputGradients = op.vjp(node, outputGradients, g);
    node.inputs.forEach((input, i) => {
      const gradient = inputGradients[i];
      if (gradient !== undefined && active.has(input.id)) add(input, gradient);
    });
  }
  return gradients;
}

/** Ids of the float values that depend on some inputs, those inputs included. */
function dependents(graph: Graph, inputs: readonly Value[]): Set<number> {
  const ids = new Set(inputs.map(({ id }) => id));
  for (const node of graph.nodes) {
    if (!node.inputs.some((input) => ids.has(input.id))) continue;
    for (const output of node.outputs) if (isFloat(output.dtype)) ids.add(output.id);
  }
  return ids;
}

/** Brings a gradient to its value's shape: sums over axes along which the value was broadcast, and expands others. */
function summedTo(g: GraphBuilder, gradient: Value, shape: readonly Dim[]): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const lead = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((dim, axis) =>
    axis < lead || (shape[axis - lead] === 1 && dim !== 1) ? [axis] : [],
  );
  const summed = g.reduceSum(gradient, axes, true);
  const trailing = lead > 0 ? g.reshape(summed, summed.shape.slice(lead)) : summed;
  return g.expand(trailing, shape);
}

/**
 * Reverse-mode automatic differentiation of a graph, split into a forward and a backward graph.
 *
 * The joint graph is the forward graph, followed by the vector-Jacobian product (`Op.vjp`) of each of its nodes, last
 * node first. `partition.ts` cuts the joint graph in two, and `min-cut.ts` chooses the values that cross the cut.
 * PyTorch's AOTAutograd works in the same way. Three things differ from the textbook:
 *
 * - `Op.vjp` may return a gradient of any shape that broadcasts with the value's. `unbroadcast` brings it to the value's.
 * - The backward graph may read a substitute in place of a forward value: an equal that is cheaper to save or to
 *   compute again (`Op.substitutes`).
 * - The node that computes a gradient may also add it to an accumulator (`accumulate.ts`).
 *
 * An example of the last two, in which x `[n, d]`, w `[d]` and V `[d, m]` are inputs:
 *
 *     forward                        y, r = rmsNorm(x, w)    where y = x · r · w by element, and r is `[n, 1]`
 *                                    z = y V
 *     backward                       grad.V = yᵀ grad.z                        saves y, n·d numbers
 *     with x · r · w in place of y   grad.V = (x · r · w)ᵀ grad.z              saves r, n numbers
 *     with an accumulator of V too   grad.V = (x · r · w)ᵀ grad.z + accum.V    saves r; one node multiplies and adds
 *
 * The code relies on these invariants:
 *
 * - A node comes after those that it reads. So in reverse, all readers of a value come before the node that makes it.
 * - A builder that continues a graph (`GraphBuilder.from`) keeps the ids of its values, so the source's values are values
 *   of the joint graph.
 * - A substitute does not depend on its original.
 *
 * There are first derivatives only: the ops that `Op.vjp` writes need no gradients of their own.
 *
 * @see https://docs.pytorch.org/functorch/stable/notebooks/aot_autograd_optimizations.html
 */
import { CxmindError } from '../errors.ts';
import { writeAccumulation } from './accumulate.ts';
import { GraphBuilder } from './builder.ts';
import { isFloat, type Dim, type Graph, type Value } from './ir.ts';
import { opOf } from './ops/table.ts';
import {
  partition,
  type ForwardAndBackward,
  type SavePolicy,
  type Substitution,
} from './partition.ts';
import { optimize } from './passes.ts';
import { sameShape } from './shape.ts';

/** Inputs to differentiate by, and values to keep for the backward graph. */
export interface DifferentiateOptions {
  /** Names of the inputs whose gradients are wanted. */
  readonly wrt: readonly string[];
  readonly save: SavePolicy;
  /** Members of `wrt` whose gradient is added to the input `accum.<name>`. */
  readonly accumulate?: readonly string[];
}

/**
 * Derives the graph that turns gradients of a graph's float outputs into gradients of its inputs.
 *
 * The backward graph takes:
 * - the inputs of the forward graph, its outputs `saved.<value>`, and `grad.<output>` for its float outputs, as far as
 *   the gradients depend on them;
 * - `accum.<input>`, f32, for every input in `accumulate`.
 *
 * It gives `grad.<input>` for every input in `wrt`, in the input's dtype, or in f32 where it is accumulated. Both
 * `<output>` and `<input>` are names of the forward graph: `grad.loss` goes in, and `grad.weight` comes out.
 *
 * Only one node reads `accum.<input>`. `grad.<input>` is written by the same node or by a later one, so the two may be
 * bound to the same memory.
 *
 * @throws GRAPH_INVALID when a name in `wrt` is not a float input, or one in `accumulate` is not in `wrt`
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
  // The joint graph is written in this order: nodes of the source, substitutes, gradients, accumulation. Substitutes only
  // make saving cheaper, so there are none where nothing is saved.
  const g = GraphBuilder.from(source);
  const substitutions = save === 'costly' ? writeSubstitutes(source, g) : [];
  const { nodes: forwardNodes } = g.build(); // a snapshot, before there are gradients
  const gradients = writeGradients(source, g, targets);
  const targetGradients = targets.map((target) => ({
    target,
    gradient: gradients.get(target.id) ?? g.zeros(target.dtype, target.shape),
  }));
  // The joint graph gives the gradients alone. The forward graph that is cut from it has the source's outputs again.
  const outputs = writeAccumulation(g, targetGradients, new Set(accumulate));
  const joint = { ...g.build(), outputs };
  return partition({ source, joint, forwardNodes, substitutions }, save);
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

/** Writes the substitutes of the graph's values to the builder. */
function writeSubstitutes(graph: Graph, g: GraphBuilder): Substitution[] {
  return graph.nodes.flatMap((node) => {
    const substitutes = opOf(node).substitutes?.(node, g) ?? [];
    return substitutes.flatMap((substitute, i) =>
      substitute === undefined ? [] : [{ original: node.outputs[i]!, substitute }],
    );
  });
}

/** Writes the nodes that compute gradients to the builder; returns the gradients by the id of their value. */
function writeGradients(
  graph: Graph,
  g: GraphBuilder,
  targets: readonly Value[],
): Map<number, Value> {
  // Other values get no gradient: nobody wants it, and their ops may have no rule.
  const active = dependents(graph, targets);
  const gradients = new Map<number, Value>();
  // The gradient of a value is the sum of those that its readers give.
  const contribute = (value: Value, gradient: Value): void => {
    const own = unbroadcast(g, gradient, value.shape);
    const sum = gradients.get(value.id);
    gradients.set(value.id, sum === undefined ? own : g.add(sum, own));
  };
  for (const { name, value } of graph.outputs) {
    if (active.has(value.id)) contribute(value, g.input(`grad.${name}`, value.dtype, value.shape));
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
      if (gradient !== undefined && active.has(input.id)) contribute(input, gradient);
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

/**
 * Brings a gradient to the shape of its value.
 *
 * - It is larger where the op broadcast the value, such as `[3, 4]` for a value `[4]` or `[1, 4]`: those axes are summed.
 * - It is smaller where it is the same along an axis, such as `[3, 1]` or `[]` for a value `[3, 4]`: those axes are
 *   expanded.
 */
function unbroadcast(g: GraphBuilder, gradient: Value, shape: readonly Dim[]): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  // Broadcasting aligns shapes at their last axis, so the axes that only the gradient has come first. `lead` is negative
  // where the value has more.
  const lead = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((dim, axis) =>
    axis < lead || (shape[axis - lead] === 1 && dim !== 1) ? [axis] : [],
  );
  // Without axes, the builder's `reduceSum` returns the gradient as it is.
  const summed = g.reduceSum(gradient, axes, true);
  const trimmed = lead > 0 ? g.reshape(summed, summed.shape.slice(lead)) : summed;
  return g.expand(trimmed, shape);
}

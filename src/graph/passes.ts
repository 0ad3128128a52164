/** Passes over graphs: order, dead nodes, rewriting by rules, folding of constants and scales. */
import { numbersOf } from '../tensor/numbers.ts';
import { sizeOf, tensorOf } from '../tensor/tensor.ts';
import { GraphBuilder } from './builder.ts';
import { isFloat, type Graph, type Node, type Value } from './ir.ts';
import { arrayOf } from './ops/array.ts';
import { opOf } from './ops/table.ts';

/** Most elements of a constant that folding makes. */
const maxFoldedElements = 1024;

/** Drops the nodes and constants that no output needs; inputs stay. */
export function prune(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ value }) => value.id));
  const nodes: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output.id))) continue;
    nodes.push(node);
    for (const input of node.inputs) needed.add(input.id);
  }
  const constants = new Map([...graph.constants].filter(([id]) => needed.has(id)));
  return { ...graph, nodes: nodes.reverse(), constants };
}

/** Anything that reads and makes values: a node, or several that run as one. */
export type Unit = Pick<Node, 'inputs' | 'outputs'>;

/** The nodes in an order in which each comes after those it reads. Nodes in such an order stay in it. */
export function topologicalOrder<N extends Unit>(nodes: readonly N[]): N[] {
  return nodesLeadingTo(nodes, producersOf(nodes), () => false);
}

/**
 * Collects nodes with all that they depend on, each after those it reads.
 *
 * @param isGiven tells the values that need no node to make them
 */
export function nodesLeadingTo<N extends Unit>(
  roots: readonly N[],
  producers: ReadonlyMap<number, N>,
  isGiven: (value: Value) => boolean,
): N[] {
  const ordered = new Set<N>();
  // A stack of our own, since a graph may be deeper than the call stack.
  const pending = roots.toReversed();
  for (let node = pending.at(-1); node !== undefined; node = pending.at(-1)) {
    const missing = ordered.has(node) ? [] : node.inputs.filter((input) => !isGiven(input));
    const next = missing
      .map((input) => producers.get(input.id))
      .find((producer) => producer !== undefined && !ordered.has(producer));
    if (next !== undefined) {
      pending.push(next);
    } else {
      ordered.add(node);
      pending.pop();
    }
  }
  return [...ordered];
}

/** The node that makes each value, by the value's id. */
export function producersOf<N extends Unit>(nodes: readonly N[]): Map<number, N> {
  return new Map(nodes.flatMap((node) => node.outputs.map((value) => [value.id, node])));
}

/**
 * A rule of rewriting: the values that replace a node's outputs, or undefined to keep the node.
 *
 * @param node   as it stands in the graph that is rewritten
 * @param inputs the node's inputs in the new graph
 */
export type Rule = (
  node: Node,
  inputs: readonly Value[],
  context: { g: GraphBuilder; uses: Uses },
) => readonly Value[] | undefined;

/** The number of nodes and outputs that read a value. */
export type Uses = (value: Value) => number;

/** Counts the readers of every value. */
export function usesOf(graph: Graph): Uses {
  const counts = new Map<number, number>();
  const count = (value: Value): unknown => counts.set(value.id, (counts.get(value.id) ?? 0) + 1);
  for (const node of graph.nodes) node.inputs.forEach(count);
  for (const { value } of graph.outputs) count(value);
  return (value) => counts.get(value.id) ?? 0;
}

/** Rewrites every node by a rule, and drops what no output needs. */
export function rewrite(graph: Graph, rule: Rule): Graph {
  const g = new GraphBuilder(graph.name);
  const mapped = new Map<number, Value>();
  const context = { g, uses: usesOf(graph) };
  for (const input of graph.inputs) {
    mapped.set(input.id, g.input(input.name, input.dtype, input.shape));
  }
  for (const [id, tensor] of graph.constants) {
    const isNumber = tensor.shape.length === 0;
    const value = isNumber ? g.scalar(numbersOf(tensor)[0]!, tensor.dtype) : g.constant(tensor);
    mapped.set(id, value);
  }
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((input) => mapped.get(input.id)!);
    const outputs = rule(node, inputs, context) ?? g.apply(node.op, inputs, node.attributes);
    node.outputs.forEach((output, i) => mapped.set(output.id, outputs[i]!));
  }
  for (const { name, value } of graph.outputs) g.output(name, mapped.get(value.id)!);
  return prune(g.build());
}

/** Computes nodes that depend on small constants alone. */
const foldConstants: Rule = (node, inputs, { g }) => {
  const tensors = inputs.map((input) => g.constantOf(input));
  if (inputs.length === 0 || tensors.some((tensor) => tensor === undefined)) return undefined;
  const size = sizeOf(node.outputs.flatMap((output) => output.shape.map(Number)));
  // A symbolic dimension makes the size NaN.
  if (!(size <= maxFoldedElements)) return undefined;
  const arrays = tensors.map((tensor) => arrayOf(tensor!));
  const results = opOf(node).evaluate(arrays, node.attributes, (dim) =>
    typeof dim === 'number' ? dim : undefined,
  );
  return results.map(({ dtype, shape, data }) =>
    g.constant(tensorOf(dtype, shape, data), 'folded'),
  );
};

/** Moves a scalar factor of a matrix product into its alpha. */
const foldScales: Rule = (node, inputs, { g, uses }) => {
  if (node.op !== 'mul' && node.op !== 'div') return undefined;
  const sides = node.op === 'mul' ? ([0, 1] as const) : ([0] as const);
  for (const side of sides) {
    const factor = g.constantOf(inputs[1 - side]!);
    const product = g.producer(inputs[side]!);
    if (factor?.data.length !== 1 || !isFloat(factor.dtype)) continue;
    if (factor.shape.length > inputs[side]!.shape.length) continue;
    if (uses(node.inputs[side]!) !== 1 || product === undefined || product.inputs.length !== 2)
      continue;
    if (product.op !== 'matMul' && product.op !== 'gemm') continue;
    const { attributes } = product as Node<'matMul'>;
    const number = numbersOf(factor)[0]!;
    const alpha = node.op === 'mul' ? attributes.alpha * number : attributes.alpha / number;
    return g.apply(product.op, product.inputs, { ...attributes, alpha });
  }
  return undefined;
};

/** Folds constants and scales, and drops what no output needs. */
export function optimize(graph: Graph): Graph {
  return rewrite(
    prune(graph),
    (node, inputs, context) =>
      foldConstants(node, inputs, context) ?? foldScales(node, inputs, context),
  );
}

/**
 * Cuts a joint graph in two: a forward graph that gives the values to save, and a backward graph that takes them.
 *
 *     inputs ──▶ forward nodes ──▶ outputs
 *                     │ saved values (chosen by `min-cut.ts`)
 *                     ▼
 *     inputs ──▶ forward nodes again, but none before a saved value ──▶ gradient nodes ──▶ gradients
 *
 * The backward graph has a copy of the forward nodes between the saved values and the values that gradient nodes read.
 * Where a forward value has a substitute, the backward graph reads the substitute.
 */
import { GraphBuilder } from './builder.ts';
import { symbolsOf } from './dim.ts';
import type { Graph, Node, Value } from './ir.ts';
import { chooseSaved } from './min-cut.ts';
import { inOrder, optimize, producersOf, prune } from './passes.ts';

/** A graph, and the graph of its gradients. */
export interface ForwardAndBackward {
  /** The graph with the outputs `saved.<value>` added. */
  readonly forward: Graph;
  /** The graph from inputs, saved values and `grad.<output>` to `grad.<input>`. */
  readonly backward: Graph;
}

/** A cheaper equal of a forward value, for backward to read in its place. */
export interface Substitution {
  readonly original: Value;
  readonly substitute: Value;
}

/** A graph together with its gradients, and which of its nodes are which. */
interface Joint {
  /** The graph that was differentiated. */
  readonly source: Graph;
  /** Nodes of the source, of substitutes and of gradients. The outputs are the gradients. */
  readonly graph: Graph;
  /** The nodes of `graph` that compute no gradient: those of the source and of substitutes. */
  readonly forwardNodes: readonly Node[];
  readonly substitutions: readonly Substitution[];
}

/**
 * Splits a joint graph into its forward and its backward part.
 *
 * @param save `needed` saves the values that are costly to compute again, `inputs` saves none
 */
export function partition(joint: Joint, save: 'needed' | 'inputs'): ForwardAndBackward {
  const { source, graph, forwardNodes, substitutions } = joint;
  const substitutes = new Map(substitutions.map((one) => [one.original.id, one.substitute]));
  const substituted = (node: Node): Node => ({
    ...node,
    inputs: node.inputs.map((input) => substitutes.get(input.id) ?? input),
  });
  // The backward graph if nothing were saved: it computes the gradients from the inputs alone.
  const recomputing = prune({ ...graph, nodes: inOrder(graph.nodes.map(substituted)) });
  const saved =
    save === 'needed'
      ? chooseSaved(inOrder(forwardNodes.map(substituted)), forwardReads(recomputing, forwardNodes))
      : new Set<number>();
  return {
    forward: forwardGraph(joint, saved),
    backward: backwardGraph(source, recomputing, saved),
  };
}

/** The values of forward nodes that gradient nodes read, or that are gradients themselves. */
function forwardReads(graph: Graph, forwardNodes: readonly Node[]): Value[] {
  const isForward = new Set(forwardNodes.flatMap((node) => node.outputs.map(({ id }) => id)));
  const gradientNodes = graph.nodes.filter((node) => !isForward.has(node.outputs[0]!.id));
  const reads = [
    ...gradientNodes.flatMap((node) => node.inputs),
    ...graph.outputs.map(({ value }) => value),
  ];
  return reads.filter(({ id }) => isForward.has(id));
}

const savedName = (value: Value): string => `saved.${value.name}`;

/** The source with the saved values as further outputs. */
function forwardGraph(
  { source, forwardNodes, substitutions }: Joint,
  saved: ReadonlySet<number>,
): Graph {
  // The forward graph computes originals in any case, so it gives them in place of saved substitutes.
  const originals = new Map(substitutions.map((one) => [one.substitute.id, one.original]));
  const values = forwardNodes.flatMap((node) => node.outputs).filter(({ id }) => saved.has(id));
  const outputs = values.map((value) => ({
    name: savedName(value),
    value: originals.get(value.id) ?? value,
  }));
  return prune({ ...source, nodes: forwardNodes, outputs: [...source.outputs, ...outputs] });
}

/** Copies a graph with saved values as inputs, and only the nodes that are needed then. */
function backwardGraph(source: Graph, recomputing: Graph, saved: ReadonlySet<number>): Graph {
  const producers = producersOf(recomputing.nodes);
  const needed = neededWith(saved, recomputing, producers);
  const g = new GraphBuilder(`${source.name}.backward`);
  const copies = new Map<number, Value>();
  for (const input of inputsOf(source, recomputing, saved, needed)) {
    copies.set(input.id, g.input(input.name, input.dtype, input.shape));
  }
  for (const [id, tensor] of recomputing.constants) {
    if (needed.has(id)) copies.set(id, g.constant(tensor));
  }
  const isCopied = ({ id }: Value): boolean => copies.has(id);
  const lastNodes = recomputing.outputs.flatMap(({ value }) =>
    isCopied(value) ? [] : [producers.get(value.id)!],
  );
  for (const node of inOrder(recomputing.nodes, lastNodes, isCopied)) {
    const inputs = node.inputs.map(({ id }) => copies.get(id)!);
    const results = g.apply(node.op, inputs, node.attributes);
    node.outputs.forEach((output, i) => {
      // A saved output of the node stays an input.
      if (!isCopied(output)) copies.set(output.id, results[i]!);
    });
  }
  for (const { name, value } of recomputing.outputs) g.output(name, copies.get(value.id)!);
  return optimize(g.build());
}

/** The values that the outputs depend on when saved values are inputs, by id. */
function neededWith(
  saved: ReadonlySet<number>,
  graph: Graph,
  producers: ReadonlyMap<number, Node>,
): Map<number, Value> {
  const needed = new Map<number, Value>();
  const pending = graph.outputs.map(({ value }) => value);
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (needed.has(value.id)) continue;
    needed.set(value.id, value);
    if (!saved.has(value.id)) pending.push(...(producers.get(value.id)?.inputs ?? []));
  }
  return needed;
}

/** Inputs of the backward graph: those of the source, then saved values, then gradients and accumulators. */
function inputsOf(
  source: Graph,
  recomputing: Graph,
  saved: ReadonlySet<number>,
  needed: ReadonlyMap<number, Value>,
): Value[] {
  const isOfSource = ({ id }: Value): boolean => source.inputs.some((input) => input.id === id);
  const inputs = recomputing.inputs.filter(({ id }) => needed.has(id));
  const savedInputs = recomputing.nodes
    .flatMap((node) => node.outputs)
    .filter(({ id }) => saved.has(id) && needed.has(id))
    .map((value) => ({ ...value, name: savedName(value) }));
  const given = [
    ...inputs.filter(isOfSource),
    ...savedInputs,
    ...inputs.filter((input) => !isOfSource(input)),
  ];
  return [...symbolSources(source, [...needed.values()], given), ...given];
}

/** Inputs of the source that bring symbols in the shapes of `values` which no given input brings. */
function symbolSources(source: Graph, values: readonly Value[], given: readonly Value[]): Value[] {
  const known = new Set(given.flatMap((input) => input.shape));
  const sources: Value[] = [];
  for (const symbol of values.flatMap((value) => symbolsOf(value.shape))) {
    const input = source.inputs.find(({ shape }) => shape.includes(symbol));
    if (known.has(symbol) || input === undefined) continue;
    sources.push(input);
    for (const dim of input.shape) known.add(dim);
  }
  return sources;
}

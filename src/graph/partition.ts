/**
 * Partition of a joint graph into a forward graph that gives the values to save, and a backward graph that takes them.
 *
 *     inputs ──▶ forward nodes ──▶ outputs
 *                     │ saved values (chosen by `min-cut.ts`)
 *                     ▼
 *     inputs ──▶ recomputed forward nodes, substitutes ──▶ gradient nodes ──▶ gradients
 *
 * A forward value that gradient nodes read is either saved or recomputed from inputs and saved values. In the example
 * `a = x W`, `s = silu(a)`, `y = s V`, the product `a` is saved, and `s` is recomputed because that is cheap:
 *
 *     forward    a = x W              s = silu(a)           y = s V
 *     backward   s = silu(saved.a)    grad.V = sᵀ grad.y    grad.W = xᵀ ((grad.y Vᵀ) · silu'(saved.a))
 *
 * Where a forward value has a substitute, the backward graph reads the substitute (`backward.ts` has an example).
 */
import { CxmindError } from '../errors.ts';
import { GraphBuilder } from './builder.ts';
import { symbolsOf } from './dim.ts';
import type { Dim, Graph, Node, Value } from './ir.ts';
import { chooseSaved } from './min-cut.ts';
import { nodesLeadingTo, optimize, producersOf, prune, topologicalOrder } from './passes.ts';

/**
 * Values that the forward graph saves for the backward graph: `costly`, those that it costs much to compute again, or
 * `nothing`, so that backward computes all of them again from the inputs.
 */
export type SavePolicy = 'costly' | 'nothing';

/** A graph, and the graph of its gradients. */
export interface ForwardAndBackward {
  /** The graph with the outputs `saved.<value>` added. */
  readonly forward: Graph;
  /** The graph from inputs, saved values and `grad.<output>` to `grad.<input>`. */
  readonly backward: Graph;
}

/**
 * A cheaper equal of a forward value, for backward to read in its place.
 *
 * The substitute must not depend on the original. Every reader of the original is made to read the substitute. If the
 * substitute's own nodes were among them, they would come to depend on themselves.
 */
export interface Substitution {
  readonly original: Value;
  readonly substitute: Value;
}

/** A joint graph in its parts. */
interface JointParts {
  /** The graph that was differentiated. */
  readonly source: Graph;
  /** Nodes of the source, of substitutes and of gradients. The outputs are the gradients. */
  readonly joint: Graph;
  /** The nodes of `joint` that compute no gradient: those of the source and of substitutes. */
  readonly forwardNodes: readonly Node[];
  readonly substitutions: readonly Substitution[];
}

/** Splits a joint graph into its forward and its backward part. */
export function partition(parts: JointParts, save: SavePolicy): ForwardAndBackward {
  const { source, joint, forwardNodes, substitutions } = parts;
  const substitutes = new Map(
    substitutions.map(({ original, substitute }) => [original.id, substitute]),
  );
  const substituted = (node: Node): Node => ({
    ...node,
    inputs: node.inputs.map((input) => substitutes.get(input.id) ?? input),
  });
  // The backward graph if nothing were saved: it computes the gradients from the inputs alone. It is sorted, since a
  // substitute was written after the nodes that read it now.
  const fullBackward = prune({ ...joint, nodes: topologicalOrder(joint.nodes.map(substituted)) });
  let saved = new Set<number>();
  if (save === 'costly') {
    // Backward recomputes by nodes that read substitutes, so the choice is made among those.
    const recomputable = topologicalOrder(forwardNodes.map(substituted));
    saved = chooseSaved(recomputable, forwardReads(fullBackward, forwardNodes));
  }
  return {
    forward: forwardGraph(parts, saved),
    backward: backwardGraph(source, fullBackward, saved),
  };
}

/** The values of forward nodes that gradient nodes read, or that are gradients themselves. */
function forwardReads(fullBackward: Graph, forwardNodes: readonly Node[]): Value[] {
  const forwardIds = new Set(forwardNodes.flatMap((node) => node.outputs.map(({ id }) => id)));
  // Its nodes are copies of those in `forwardNodes`, so they are told apart by the values that they make.
  const gradientNodes = fullBackward.nodes.filter((node) => !forwardIds.has(node.outputs[0]!.id));
  const reads = [
    ...gradientNodes.flatMap((node) => node.inputs),
    ...fullBackward.outputs.map(({ value }) => value),
  ];
  return reads.filter(({ id }) => forwardIds.has(id));
}

const savedName = (value: Value): string => `saved.${value.name}`;

/** The source with the saved values as further outputs. */
function forwardGraph(
  { source, joint, forwardNodes, substitutions }: JointParts,
  saved: ReadonlySet<number>,
): Graph {
  // Where a substitute is to be saved, forward gives its original, which it computes anyway and which is equal. If that
  // is the product `s = x · r · w` in place of `y` (the example of `backward.ts`), the output `saved.s` is `y`, and nobody
  // computes `s`.
  const originals = new Map(
    substitutions.map(({ original, substitute }) => [substitute.id, original]),
  );
  const values = forwardNodes.flatMap((node) => node.outputs).filter(({ id }) => saved.has(id));
  const outputs = values.map((value) => ({
    name: savedName(value),
    value: originals.get(value.id) ?? value,
  }));
  return prune({
    ...source,
    // Substitutes may have constants of their own.
    constants: joint.constants,
    nodes: forwardNodes,
    outputs: [...source.outputs, ...outputs],
  });
}

/** Copies what is left of the full backward graph when saved values are inputs. */
function backwardGraph(source: Graph, fullBackward: Graph, saved: ReadonlySet<number>): Graph {
  const producers = producersOf(fullBackward.nodes);
  const isSaved = ({ id }: Value): boolean => saved.has(id);
  const gradients = fullBackward.outputs.map(({ value }) => value);
  const lastNodes = gradients.flatMap((value) =>
    isSaved(value) ? [] : (producers.get(value.id) ?? []),
  );
  const nodes = nodesLeadingTo(lastNodes, producers, isSaved);
  const needed = new Map(
    [...gradients, ...nodes.flatMap((node) => node.inputs)].map((value) => [value.id, value]),
  );

  const g = new GraphBuilder(`${source.name}.backward`);
  // The new graph's values, by the ids that they have in the full backward graph.
  const copies = new Map<number, Value>();
  for (const input of inputsOf(source, fullBackward, saved, needed)) {
    copies.set(input.id, g.input(input.name, input.dtype, input.shape));
  }
  for (const [id, tensor] of fullBackward.constants) {
    if (needed.has(id)) copies.set(id, g.constant(tensor));
  }
  for (const node of nodes) {
    const inputs = node.inputs.map(({ id }) => copies.get(id)!);
    const results = g.apply(node.op, inputs, node.attributes);
    node.outputs.forEach((output, i) => {
      // One output of the node may be saved and another not. The saved one stays an input.
      if (!isSaved(output)) copies.set(output.id, results[i]!);
    });
  }
  for (const { name, value } of fullBackward.outputs) g.output(name, copies.get(value.id)!);
  return optimize(g.build());
}

/**
 * Inputs of the backward graph: those of the source that it computes with, saved values, gradients of the outputs, and
 * accumulators. Further ones give the size of a symbolic dimension by their shape alone.
 *
 * @param needed the values that are computed with, by id
 */
function inputsOf(
  source: Graph,
  fullBackward: Graph,
  saved: ReadonlySet<number>,
  needed: ReadonlyMap<number, Value>,
): Value[] {
  const isOfSource = ({ id }: Value): boolean => source.inputs.some((input) => input.id === id);
  const inputs = fullBackward.inputs.filter(({ id }) => needed.has(id));
  const savedInputs = fullBackward.nodes
    .flatMap((node) => node.outputs)
    .filter(({ id }) => saved.has(id) && needed.has(id))
    .map((value) => ({ ...value, name: savedName(value) }));
  const computedWith = [
    ...inputs.filter(isOfSource),
    ...savedInputs,
    ...inputs.filter((input) => !isOfSource(input)),
  ];
  return [...inputsForSymbols(source, [...needed.values()], computedWith), ...computedWith];
}

/**
 * Inputs of the source to add, so that some input gives every symbolic dimension in the shapes of `values`.
 *
 * @throws INTERNAL for a dimension that no input of the source gives
 */
function inputsForSymbols(
  source: Graph,
  values: readonly Value[],
  inputs: readonly Value[],
): Value[] {
  const knownDims = new Set(inputs.flatMap((input) => input.shape));
  const added: Value[] = [];
  const inputWith = (dim: Dim): Value | undefined =>
    source.inputs.find(({ shape }) => shape.includes(dim));
  for (const dim of values.flatMap(({ shape }) => shape)) {
    for (const symbol of symbolsOf([dim])) {
      if (knownDims.has(symbol)) continue;
      // An input may have a whole expression as its dimension, such as `T*2`, and none of its symbols.
      const wanted = inputWith(symbol) === undefined ? dim : symbol;
      if (knownDims.has(wanted)) continue;
      const input = inputWith(wanted);
      if (input === undefined) {
        throw new CxmindError('INTERNAL', `${source.name}: no input has the dimension ${symbol}`);
      }
      added.push(input);
      for (const known of input.shape) knownDims.add(known);
    }
  }
  return added;
}

import { CxmindError } from '../errors.ts';
import { GraphBuilder } from './builder.ts';
import { isFloat, type Dim, type Graph, type Node, type Value } from './ir.ts';
import type { ProductAttributes } from './ops/linalg.ts';
import type { ReduceAttributes } from './ops/reduce.ts';
import { opOf } from './ops/table.ts';
import { chooseSaved } from './partition.ts';
import { inOrder, optimize, producersOf, prune, usesOf, type Uses } from './passes.ts';
import { sameShape, symbolsOf } from './shape.ts';

/** What to differentiate, and what to keep for it. */
export interface DifferentiateOptions {
  /** Names of the inputs whose gradients are wanted. */
  readonly wrt: readonly string[];
  /** `needed` saves what is costly to compute again, `inputs` nothing: all is computed again. */
  readonly save: 'needed' | 'inputs';
  /** Of `wrt`, those whose gradient is added to the input `accum.<name>`. */
  readonly accumulate?: readonly string[];
}

/** A graph and the graph of its gradients. */
export interface ForwardAndBackward {
  /** The graph with the outputs `saved.<value>` added. */
  readonly forward: Graph;
  /** From `grad.<output>`, saved values and inputs to `grad.<input>`. */
  readonly backward: Graph;
}

/**
 * Reverse-mode derivative: from a graph, the graph that turns gradients of its float outputs into
 * gradients of its inputs.
 *
 * The backward graph takes those of the forward inputs and `saved.*` values it reads,
 * `grad.<output>` for every float output that depends on `wrt`, and `accum.<input>` for every input
 * in `accumulate`; it gives `grad.<input>` for every input in `wrt`, in the input's dtype, or in f32 where it
 * is accumulated. One node reads `accum.<input>`, and it is the node that writes `grad.<input>` or one that
 * this node waits for, so both may be bound to one memory.
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
  const joint = GraphBuilder.from(source);
  const aliases = save === 'needed' ? rederived(source, joint) : new Map<number, Value>();
  const forwardNodes = joint.build().nodes;
  const gradients = reverseWalk(source, joint, targets);
  for (const target of targets) {
    const gradient = gradients.get(target.id) ?? joint.zeros(target.dtype, target.shape);
    joint.output(`grad.${target.name}`, gradient);
  }
  const whole = withAccumulation(joint, accumulate);
  return partition(source, whole, forwardNodes, aliases, save);
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

/** Values that can be had from other outputs of their node, by the id of the one they replace. */
function rederived(graph: Graph, joint: GraphBuilder): Map<number, Value> {
  const aliases = new Map<number, Value>();
  for (const node of graph.nodes) {
    const values = opOf(node).rederive?.(node, joint) ?? [];
    values.forEach((value, i) => {
      if (value !== undefined) aliases.set(node.outputs[i]!.id, value);
    });
  }
  return aliases;
}

/** Adds the gradient nodes to the builder; returns gradients by the id of the value they belong to. */
function reverseWalk(graph: Graph, g: GraphBuilder, targets: readonly Value[]): Map<number, Value> {
  const active = new Set(targets.map((target) => target.id));
  for (const node of graph.nodes) {
    if (!node.inputs.some((input) => active.has(input.id))) continue;
    for (const output of node.outputs) if (isFloat(output.dtype)) active.add(output.id);
  }
  const gradients = new Map<number, Value>();
  const accumulate = (value: Value, gradient: Value): void => {
    const summed = unbroadcast(g, gradient, value.shape);
    const known = gradients.get(value.id);
    gradients.set(value.id, known === undefined ? summed : g.add(known, summed));
  };
  for (const { name, value } of graph.outputs) {
    if (active.has(value.id)) accumulate(value, g.input(`grad.${name}`, value.dtype, value.shape));
  }
  for (const node of graph.nodes.toReversed()) {
    const incoming = node.outputs.map((output) => gradients.get(output.id));
    if (incoming.every((gradient) => gradient === undefined)) continue;
    const op = opOf(node);
    if (op.vjp === undefined) {
      throw new CxmindError(
        'RULE_MISSING',
        `${node.op} has no gradient, yet stands between an input and an output (${graph.name})`,
      );
    }
    const outgoing = op.vjp(node, incoming, g);
    node.inputs.forEach((input, i) => {
      const gradient = outgoing[i];
      if (gradient !== undefined && active.has(input.id)) accumulate(input, gradient);
    });
  }
  return gradients;
}

/** Undoes broadcasting: sums a gradient over the axes along which its value was repeated. */
function unbroadcast(g: GraphBuilder, gradient: Value, shape: readonly Dim[]): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const lead = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((dim, axis) =>
    axis < lead || (shape[axis - lead] === 1 && dim !== 1) ? [axis] : [],
  );
  const summed = g.reduceSum(gradient, axes, true);
  const trailing = lead > 0 ? g.reshape(summed, summed.shape.slice(lead)) : summed;
  return g.expand(trailing, shape);
}

/** The joint graph with accumulated inputs added to its outputs. */
function withAccumulation(joint: GraphBuilder, accumulate: readonly string[]): Graph {
  const graph = prune(joint.build());
  const uses = usesOf(graph);
  const outputs = graph.outputs.map(({ name, value }) => {
    const input = name.replace(/^grad\./, '');
    if (!accumulate.includes(input)) return { name, value };
    const total = joint.input(`accum.${input}`, 'f32', value.shape);
    return { name, value: addInto(joint, total, value, uses) };
  });
  return { ...joint.build(), outputs };
}

/** `total` plus, in f32, every term of a gradient that is a sum of same-shaped terms, one after the other. */
function addInto(g: GraphBuilder, total: Value, gradient: Value, uses: Uses): Value {
  let sum = total;
  const terms = [gradient];
  for (let term = terms.pop(); term !== undefined; term = terms.pop()) {
    // A term that something else reads, too, has to be there on its own.
    const node = uses(term) === 1 ? g.producer(term) : undefined;
    const [a, b] = node?.op === 'add' ? node.inputs : [];
    if (a !== undefined && b !== undefined && sameShape(a.shape, b.shape)) terms.push(b, a);
    else sum = addTerm(g, sum, term, uses);
  }
  return sum;
}

/**
 * `total + term` in f32. A product takes the total as its addend, and a scatter as the data it adds to, so that
 * the term never has memory of its own. (`gemm` has no beta: its addend counts once.)
 */
function addTerm(g: GraphBuilder, total: Value, term: Value, uses: Uses): Value {
  const node = uses(term) === 1 ? g.producer(term) : undefined;
  if (node?.op === 'gemm' && node.inputs.length === 2) {
    const { attributes, inputs } = node as Node<'gemm'>;
    return g.gemm(inputs[0]!, inputs[1]!, { ...attributes, to: 'f32', c: total });
  }
  if (node?.op === 'addRows' && g.isZero(node.inputs[0]!)) {
    return g.addRows(total, node.inputs[1]!, g.cast(node.inputs[2]!, 'f32'));
  }
  if (node?.op === 'scatterElements' && g.isZero(node.inputs[0]!)) {
    const { axis } = (node as Node<'scatterElements'>).attributes;
    return g.scatterElements(total, node.inputs[1]!, g.cast(node.inputs[2]!, 'f32'), axis);
  }
  return g.add(total, widened(g, term, uses));
}

/** A gradient in f32, not rounded on the way where it comes from a sum or a product. */
function widened(g: GraphBuilder, gradient: Value, uses: Uses): Value {
  const node = uses(gradient) === 1 ? g.producer(gradient) : undefined;
  if (gradient.dtype === 'f32' || node === undefined) return g.cast(gradient, 'f32');
  const { op, inputs, attributes } = node;
  const [x, y] = [inputs[0]!, inputs[1]!];
  if (op === 'cast') return g.cast(x, 'f32');
  if (op === 'reshape') return g.reshape(widened(g, x, uses), gradient.shape);
  if (op === 'reduceSum') {
    return g.apply(op, [g.cast(x, 'f32')], attributes as ReduceAttributes)[0]!;
  }
  if (op === 'gemm' && inputs.length === 2) {
    return g.gemm(x, y, { ...(attributes as ProductAttributes), to: 'f32' });
  }
  return g.cast(gradient, 'f32');
}

/** Splits the joint graph in two where its backward part reads what its forward part made. */
function partition(
  source: Graph,
  joint: Graph,
  forwardNodes: readonly Node[],
  aliases: ReadonlyMap<number, Value>,
  save: DifferentiateOptions['save'],
): ForwardAndBackward {
  const forwardIds = new Set(forwardNodes.flatMap((node) => node.outputs.map((v) => v.id)));
  const seen = (value: Value): Value => aliases.get(value.id) ?? value;
  const view = (node: Node): Node => ({ ...node, inputs: node.inputs.map(seen) });
  const needed = prune({ ...joint, nodes: inOrder(joint.nodes.map(view)) });
  const backwardNodes = needed.nodes.filter((node) => !forwardIds.has(node.outputs[0]!.id));
  const read = [
    ...backwardNodes.flatMap((node) => node.inputs),
    ...needed.outputs.map(({ value }) => value),
  ].filter((value) => forwardIds.has(value.id));
  const saved =
    save === 'needed' ? chooseSaved(inOrder(forwardNodes.map(view)), read) : new Set<number>();
  return {
    forward: forwardGraph(source, forwardNodes, aliases, saved),
    backward: backwardGraph(source, needed, saved),
  };
}

const savedName = (value: Value): string => `saved.${value.name}`;

function forwardGraph(
  source: Graph,
  forwardNodes: readonly Node[],
  aliases: ReadonlyMap<number, Value>,
  saved: ReadonlySet<number>,
): Graph {
  const originals = new Map<number, Value>();
  for (const output of source.nodes.flatMap((node) => node.outputs)) {
    const alias = aliases.get(output.id);
    if (alias !== undefined) originals.set(alias.id, output);
  }
  const values = forwardNodes.flatMap((node) => node.outputs).filter(({ id }) => saved.has(id));
  const outputs = values.map((value) => ({
    name: savedName(value),
    value: originals.get(value.id) ?? value,
  }));
  return prune({ ...source, nodes: forwardNodes, outputs: [...source.outputs, ...outputs] });
}

function backwardGraph(source: Graph, joint: Graph, saved: ReadonlySet<number>): Graph {
  const producers = producersOf(joint.nodes);
  const live = new Map<number, Value>();
  const pending = joint.outputs.map(({ value }) => value);
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (live.has(value.id)) continue;
    live.set(value.id, value);
    if (!saved.has(value.id)) pending.push(...(producers.get(value.id)?.inputs ?? []));
  }
  const g = new GraphBuilder(`${source.name}.backward`);
  const mapped = new Map<number, Value>();
  const inputs = joint.inputs.filter(({ id }) => live.has(id));
  const isSeed = (input: Value): boolean => !source.inputs.some(({ id }) => id === input.id);
  const kept = joint.nodes
    .flatMap((node) => node.outputs)
    .filter(({ id }) => saved.has(id) && live.has(id))
    .map((value) => ({ ...value, name: savedName(value) }));
  const given = [...inputs.filter((input) => !isSeed(input)), ...kept, ...inputs.filter(isSeed)];
  for (const input of [...symbolSources(source, [...live.values()], given), ...given]) {
    mapped.set(input.id, g.input(input.name, input.dtype, input.shape));
  }
  for (const [id, tensor] of joint.constants) if (live.has(id)) mapped.set(id, g.constant(tensor));
  const roots = joint.outputs.flatMap(({ value }) =>
    mapped.has(value.id) ? [] : [producers.get(value.id)!],
  );
  for (const node of inOrder(joint.nodes, roots, ({ id }) => mapped.has(id))) {
    const inputs = node.inputs.map(({ id }) => mapped.get(id)!);
    const results = g.apply(node.op, inputs, node.attributes);
    node.outputs.forEach((output, i) => {
      if (!mapped.has(output.id)) mapped.set(output.id, results[i]!);
    });
  }
  for (const { name, value } of joint.outputs) g.output(name, mapped.get(value.id)!);
  return optimize(g.build());
}

/** Inputs of the source that bring the symbols of `values` which no given input has. */
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

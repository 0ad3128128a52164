/**
 * Gradient accumulation inside a graph: `accum + gradient`, in f32, where the gradient is made.
 *
 * A matrix product takes the accumulator as its addend (`gemm`), and a scatter takes it as the data that it adds to. So
 * the gradient of a weight never has memory of its own, and is not rounded to a half before it is added.
 */
import type { GraphBuilder } from './builder.ts';
import type { GraphOutput, Node, Value } from './ir.ts';
import type { ProductAttributes } from './ops/linalg.ts';
import type { ReduceAttributes } from './ops/reduce.ts';
import { prune, usesOf, type Uses } from './passes.ts';
import { sameShape } from './shape.ts';

/** A gradient, and the input that it belongs to. */
interface TargetGradient {
  readonly target: Value;
  readonly gradient: Value;
}

/**
 * Writes the inputs `accum.<name>` to a joint graph, and nodes that add them to the gradients of some targets.
 *
 * @param g     has nodes for the gradients, and no outputs yet
 * @param names names of the targets to accumulate
 * @returns the outputs `grad.<name>` of all targets
 */
export function writeAccumulation(
  g: GraphBuilder,
  gradients: readonly TargetGradient[],
  names: ReadonlySet<string>,
): GraphOutput[] {
  const plain = gradients.map(({ target, gradient }): GraphOutput => ({
    name: `grad.${target.name}`,
    value: gradient,
  }));
  const uses = usesOf(prune({ ...g.build(), outputs: plain }));
  const accumulators = gradients.map(({ target, gradient }) =>
    names.has(target.name) ? g.input(`accum.${target.name}`, 'f32', gradient.shape) : undefined,
  );
  const totals = new Map(gradients.map(({ gradient }, i) => [gradient.id, accumulators[i]]));
  const grouped = groupedSums(g, totals, uses);
  return gradients.map(({ gradient }, i) => {
    const total = accumulators[i];
    if (total === undefined) return plain[i]!;
    const value = grouped.get(gradient.id) ?? addTerms(g, total, gradient, uses);
    return { ...plain[i]!, value };
  });
}

/**
 * Adds gradients that one grouped product makes, where all of them accumulate.
 *
 * @param totals accumulators by the ids of gradients
 * @returns the sums by the ids of gradients
 */
function groupedSums(
  g: GraphBuilder,
  totals: ReadonlyMap<number, Value | undefined>,
  uses: Uses,
): ReadonlyMap<number, Value> {
  const sums = new Map<number, Value>();
  for (const { op, inputs, outputs } of g.build().nodes) {
    if (op !== 'groupedOuterProduct' || inputs.length > 3) continue;
    const [a, b, counts] = inputs;
    const addends = outputs.map(({ id }) => totals.get(id)).filter((total) => total !== undefined);
    const isWhole = addends.length === outputs.length && outputs.every((one) => uses(one) === 1);
    if (!isWhole) continue;
    const results = g.groupedOuterProduct(a!, b!, counts!, addends);
    for (const [group, { id }] of outputs.entries()) sums.set(id, results[group]!);
  }
  return sums;
}

/** Adds the terms of a gradient to `total`, one after the other; a gradient that is no sum is one term. */
function addTerms(g: GraphBuilder, total: Value, gradient: Value, uses: Uses): Value {
  let sum = total;
  const terms = [gradient];
  for (let term = terms.pop(); term !== undefined; term = terms.pop()) {
    const node = onlyProducer(g, term, uses);
    const [a, b] = node?.op === 'add' ? node.inputs : [];
    if (a !== undefined && b !== undefined && sameShape(a.shape, b.shape)) terms.push(b, a);
    else sum = addTerm(g, sum, term, uses);
  }
  return sum;
}

/** `total + term` in f32, by the node that makes the term if that can add. */
function addTerm(g: GraphBuilder, total: Value, term: Value, uses: Uses): Value {
  const node = onlyProducer(g, term, uses);
  if (node?.op === 'gemm' && node.inputs.length === 2) {
    const { attributes, inputs } = node as Node<'gemm'>;
    // `alpha` scales the product alone: our gemm has no beta, its addend counts once.
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

/** A gradient in f32. A sum or a product that makes it gives f32 at once, and does not round to a half first. */
function widened(g: GraphBuilder, gradient: Value, uses: Uses): Value {
  const node = onlyProducer(g, gradient, uses);
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

/** The node that makes a value which nothing else reads. A value with other readers must stay as it is. */
function onlyProducer(g: GraphBuilder, value: Value, uses: Uses): Node | undefined {
  return uses(value) === 1 ? g.producer(value) : undefined;
}

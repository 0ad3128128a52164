import type { GraphBuilder } from './builder.ts';
import { inKernelForm } from './fuse/form.ts';
import { mannerOf } from './fuse/region.ts';
import { isFloat, type Graph, type Node, type Value } from './ir.ts';
import type { Step } from './kernel.ts';
import type { ProductAttributes } from './ops/linalg.ts';
import { opOf, type OpName } from './ops/table.ts';
import { rewrite, type Rule } from './passes.ts';
import { areSized, sameShape } from './shape.ts';

/** What a provider can compute; all that is f32 it always can. */
export interface Target {
  readonly name: string;
  /** Whether it has a kernel for a node some of whose values are f16 or bf16. */
  readonly hasKernel: (node: Node) => boolean;
  /** Whether nodes that go element by element, and reductions between them, run as kernels that join them. */
  readonly isFusing?: boolean;
  /** The nodes that kernels take, for nodes that are made of such. */
  readonly form?: Rule;
  /** What a node does where it runs as a custom op; undefined for one that the provider runs. */
  readonly stepsOf?: (node: Node) => readonly Step[] | undefined;
  /** Other nodes for those whose kernel gives wrong numbers. */
  readonly mend?: Rule;
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

/** ONNX Runtime's WebGPU provider: it computes in f16 as in f32, has no bf16, and no product of f16 that gives f32. */
export const webgpu: Target = {
  name: 'webgpu',
  hasKernel: (node) => !isBf16(node) && notWidening(node) === undefined,
  mend(node, inputs, { g, uses }) {
    if (node.op === 'rmsNorm' && uses(node.outputs[1]!) > 0) {
      return rmsNormWithInverse(g, node as Node<'rmsNorm'>, inputs);
    }
    return node.op === 'pow' ? powOfOneShape(g, node, inputs) : undefined;
  },
};

/** The norm, whose kernel on WebGPU leaves the reciprocal root mean square unwritten; only backward graphs read it. */
function rmsNormWithInverse(
  g: GraphBuilder,
  { attributes: { epsilon } }: Node<'rmsNorm'>,
  [x, weight]: readonly Value[],
): readonly Value[] {
  const wide = g.cast(x!, 'f32');
  const mean = g.reduceMean(g.mul(wide, wide), [-1], true);
  const inverse = g.reciprocal(g.sqrt(g.add(mean, g.scalar(epsilon))));
  return [g.rmsNorm(x!, weight!, epsilon), inverse];
}

/** A power whose operands have the result's shape: WebGPU's kernel fails where it has to spread a row of one. */
function powOfOneShape(
  g: GraphBuilder,
  node: Node,
  [base, exponent]: readonly Value[],
): readonly Value[] | undefined {
  const { shape } = node.outputs[0]!;
  if (base!.shape.length === 0 || exponent!.shape.length === 0) return undefined;
  if (sameShape(base!.shape, shape) && sameShape(exponent!.shape, shape)) return undefined;
  // Nothing of the other operand is added, since ONNX Runtime takes an Expand away again.
  const spread = (x: Value, like: Value): Value => g.add(x, g.sub(like, like));
  return [g.pow(spread(base!, exponent!), spread(exponent!, base!))];
}

/** ONNX Runtime's CUDA provider, which computes in f16 and in bf16 but for some ops, and kernels of our own. */
export const cuda: Target = {
  name: 'cuda',
  hasKernel: (node) =>
    mannerOf(node) !== undefined ||
    stepsOnCuda(node) !== undefined ||
    (notWidening(node) === undefined && !(isBf16(node) && withoutBf16.has(node.op))),
  stepsOf: stepsOnCuda,
  form: inKernelForm,
  isFusing: true,
};

/** The steps of an op that has a rule for them, where the sizes of all that they write are known when they run. */
function stepsOnCuda(node: Node): readonly Step[] | undefined {
  const shapes = node.outputs.map(({ shape }) => shape);
  return areSized(shapes, node.inputs) ? opOf(node).steps?.(node) : undefined;
}

/**
 * As `test/gpu/kernels.ts` finds them in ONNX Runtime 1.29; and scatterElements, which it has, but whose sums are wrong
 * where an index repeats (-3872 for -2.4).
 */
const withoutBf16: ReadonlySet<OpName> = new Set<OpName>([
  'attend',
  'cumSum',
  'logSoftmax',
  'pad',
  'reduceMax',
  'reduceMean',
  'scatterElements',
  'topK',
]);

function isBf16({ inputs, outputs }: Node): boolean {
  return [...inputs, ...outputs].some(({ dtype }) => dtype === 'bf16');
}

/** The graph as the target computes it right: in dtypes that it has kernels for, by kernels that give right numbers. */
export function lower(graph: Graph, target: Target): Graph {
  const plain = expanded(target, graph);
  const formed = target.form === undefined ? plain : rewrite(plain, target.form);
  const computed = inDTypesOf(target, formed);
  return target.mend === undefined ? computed : rewrite(computed, target.mend);
}

/** The graph with other ops in place of those that have no ONNX form, where the target has no steps for them. */
function expanded(target: Target, graph: Graph): Graph {
  const isExpanded = (node: Node): boolean =>
    target.stepsOf?.(node) === undefined && opOf(node).expand !== undefined;
  if (!graph.nodes.some(isExpanded)) return graph;
  return rewrite(graph, (node, inputs, { g }) =>
    isExpanded(node) ? opOf(node).expand!({ ...node, inputs }, g) : undefined,
  );
}

/**
 * The graph with every node that the target has no kernel for computed in f32, between casts.
 *
 * Each such node rounds its results to their dtype, as a kernel of its own would, so the values are those of the
 * graph as it was written, but for products of halves that give f32: where the target has a kernel that gives halves,
 * that one is used and what it gives is widened. A graph that needs nothing is returned as it is.
 */
function inDTypesOf(target: Target, graph: Graph): Graph {
  const isComputed = (node: Node): boolean =>
    ![...node.inputs, ...node.outputs].some(isHalf) || target.hasKernel(node);
  if (graph.nodes.every(isComputed)) return graph;
  return rewrite(graph, (node, inputs, { g }) => {
    if (isComputed(node)) return undefined;
    const product = notWidening(node);
    if (product !== undefined && target.hasKernel(product)) {
      const [left, right, addend] = inputs;
      const wide = g.cast(g.apply(product.op, [left!, right!], product.attributes)[0]!, 'f32');
      return [addend === undefined ? wide : g.add(wide, addend)];
    }
    const widened = inputs.map((input) => (isHalf(input) ? g.cast(input, 'f32') : input));
    const outputs = g.apply(node.op, widened, node.attributes);
    return outputs.map((output, i) => g.cast(output, node.outputs[i]!.dtype));
  });
}

/** A product whose result is wider than its operands, as one that gives their dtype; undefined for other nodes. */
function notWidening({ op, inputs, attributes, outputs }: Node): Node | undefined {
  if ((op !== 'matMul' && op !== 'gemm') || !('to' in attributes)) return undefined;
  const { transA, transB, alpha } = attributes as ProductAttributes;
  const output = { ...outputs[0]!, dtype: inputs[0]!.dtype };
  return { op, inputs, attributes: { transA, transB, alpha }, outputs: [output] };
}

function isHalf({ dtype }: Value): boolean {
  return isFloat(dtype) && dtype !== 'f32';
}

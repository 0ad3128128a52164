/**
 * The providers that run a graph, and the lowering of a graph to what one of them computes right.
 *
 * Lowering takes four steps: ops that have no ONNX form become others (`expanded`), some become ops that kernels can
 * fuse (`form`), nodes without a kernel in their dtype compute in f32 between casts (`inDTypesOf`), and nodes whose
 * kernel gives wrong numbers are replaced (`mend`).
 */
import type { GraphBuilder } from './builder.ts';
import { inKernelForm } from './fuse/form.ts';
import { patternOf } from './fuse/region.ts';
import { isFloat, type Graph, type Node, type Value } from './ir.ts';
import type { Step } from './kernel.ts';
import type { ProductAttributes } from './ops/linalg.ts';
import { opOf, type OpName } from './ops/table.ts';
import { rewrite, type Rule } from './passes.ts';
import { areSized, sameShape } from './shape.ts';

/** A provider, by what it can compute. Every provider computes f32. */
export interface Target {
  readonly name: string;
  /** True if it has a kernel for a node some of whose values are f16 or bf16. */
  readonly hasKernel: (node: Node) => boolean;
  /** True if elementwise nodes and the reductions between them are fused to kernels. */
  readonly isFusing?: boolean;
  /** Rewrites nodes as others that kernels can fuse. */
  readonly form?: Rule;
  /** Steps of a node that runs as a custom op; undefined for one that the provider runs. */
  readonly stepsOf?: (node: Node) => readonly Step[] | undefined;
  /** Replaces nodes for which the provider's kernel gives wrong numbers. */
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

/** ONNX Runtime's CPU provider. It moves and casts halves, but does not compute in them. */
export const cpu: Target = { name: 'cpu', hasKernel: ({ op }) => moving.has(op) };

/** ONNX Runtime's WebGPU provider. It computes in f16 and f32, but has no bf16 and no product of f16 that gives f32. */
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

/** Computes the reciprocal root mean square by nodes of its own, since WebGPU's norm leaves it unwritten. Backward graphs read it. */
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

/** Broadcasts the operands of a power beforehand, since WebGPU's kernel fails to broadcast a row of one element. */
function powOfOneShape(
  g: GraphBuilder,
  node: Node,
  [base, exponent]: readonly Value[],
): readonly Value[] | undefined {
  const { shape } = node.outputs[0]!;
  if (base!.shape.length === 0 || exponent!.shape.length === 0) return undefined;
  if (sameShape(base!.shape, shape) && sameShape(exponent!.shape, shape)) return undefined;
  // Adding zeros of the other's shape broadcasts, where ONNX Runtime would remove an Expand.
  const spread = (x: Value, like: Value): Value => g.add(x, g.sub(like, like));
  return [g.pow(spread(base!, exponent!), spread(exponent!, base!))];
}

/** ONNX Runtime's CUDA provider, which computes most ops in f16 and bf16, and kernels of our own. */
export const cuda: Target = {
  name: 'cuda',
  hasKernel: (node) =>
    patternOf(node) !== undefined ||
    stepsOnCuda(node) !== undefined ||
    (notWidening(node) === undefined && !(isBf16(node) && withoutBf16.has(node.op))),
  stepsOf: stepsOnCuda,
  form: inKernelForm,
  isFusing: true,
};

/** The steps of a node whose op has a rule for them, if its inputs determine the sizes of what the steps write. */
function stepsOnCuda(node: Node): readonly Step[] | undefined {
  const shapes = node.outputs.map(({ shape }) => shape);
  return areSized(shapes, node.inputs) ? opOf(node).steps?.(node) : undefined;
}

/**
 * Ops without a right bf16 kernel in ONNX Runtime 1.29, as `test/gpu/kernels.ts` finds them.
 *
 * It has a kernel of scatterElements, but whose sums are wrong where an index repeats (-3872 for -2.4).
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

/** Rewrites a graph as one that the target computes, and computes right. */
export function lower(graph: Graph, target: Target): Graph {
  const plain = expanded(target, graph);
  const formed = target.form === undefined ? plain : rewrite(plain, target.form);
  const computed = inDTypesOf(target, formed);
  return target.mend === undefined ? computed : rewrite(computed, target.mend);
}

/** Replaces the ops that have no ONNX form by others, where the target has no steps for them. */
function expanded(target: Target, graph: Graph): Graph {
  const isExpanded = (node: Node): boolean =>
    target.stepsOf?.(node) === undefined && opOf(node).expand !== undefined;
  if (!graph.nodes.some(isExpanded)) return graph;
  return rewrite(graph, (node, inputs, { g }) =>
    isExpanded(node) ? opOf(node).expand!({ ...node, inputs }, g) : undefined,
  );
}

/**
 * Computes every node that the target has no kernel for in f32, between casts.
 *
 * Each such node rounds its results to their dtype, as a kernel of that dtype would, so the values stay the same. The
 * exception is a product of halves that gives f32: where the target has a kernel that gives halves, that one runs and
 * its result is widened. A graph that needs nothing is returned as it is.
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

/** A product with its result in the operands' dtype, for one whose result is wider; undefined for other nodes. */
function notWidening({ op, inputs, attributes, outputs }: Node): Node | undefined {
  if ((op !== 'matMul' && op !== 'gemm') || !('to' in attributes)) return undefined;
  const { transA, transB, alpha } = attributes as ProductAttributes;
  const output = { ...outputs[0]!, dtype: inputs[0]!.dtype };
  return { op, inputs, attributes: { transA, transB, alpha }, outputs: [output] };
}

function isHalf({ dtype }: Value): boolean {
  return isFloat(dtype) && dtype !== 'f32';
}

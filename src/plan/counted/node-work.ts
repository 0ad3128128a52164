/**
 * The work of a graph's nodes, counted from their shapes.
 *
 * A product of `[m, k]` and `[k, n]` has 2·m·k·n operations. Any other node reads its inputs and writes its outputs
 * once. What reading takes of a cache of keys and values, whose length no shape tells, is the caller's to add.
 */
import { byteLengthOf, sizeOf, type Tensor } from '../../tensor/tensor.ts';
import type { PackedHeads } from '../../graph/ops/attention/packed-attention.ts';
import type { OpName } from '../../graph/ops/table.ts';
import { workOf, type Work } from './work.ts';

/** A tensor of a node in one run. */
export type Sized = Pick<Tensor, 'dtype' | 'shape'>;

/** A node in one run: its tensors have numbers as sizes. */
export interface SizedNode {
  readonly op: OpName;
  readonly attributes: unknown;
  readonly inputs: readonly Sized[];
  readonly outputs: readonly Sized[];
  /** Pairs of tokens that see each other, of an attention over packed tokens. */
  readonly pairs: number;
}

/**
 * Operations of the products of attention over packed tokens, in units of 2·pairs·H·d: forward, and all five backward.
 */
const ATTENTION_PRODUCTS = { forward: 2, backward: 5 };

/** The work of ops that are no plain pass over their tensors. */
const ofOp: Partial<Readonly<Record<OpName, (node: SizedNode) => Partial<Work>>>> = {
  reshape: () => ({}),
  size: () => ({}),
  matMul: productWork,
  gemm: productWork,
  groupedProduct: groupedWork,
  groupedOuterProduct: outerWork,
  exp: elementsWork,
  log: elementsWork,
  sigmoid: elementsWork,
  silu: elementsWork,
  tanh: elementsWork,
  erf: elementsWork,
  pow: elementsWork,
  attend: ({ inputs, outputs }) => ({
    batched: 2 * sizeOf(inputs[0]!.shape) * inputs[1]!.shape.at(-1)!,
    exponentials: sizeOf(inputs[0]!.shape),
    moved: trafficOf(inputs, outputs),
  }),
  tokenLogProbs: vocabularyWork,
  tokenLogProbsGradient: vocabularyWork,
  tokenEntropies: vocabularyWork,
  tokenEntropiesGradient: vocabularyWork,
  drawTokens: vocabularyWork,
  packedAttention: (node) => packedAttentionWork(node, ATTENTION_PRODUCTS.forward),
  packedAttentionGradient: (node) => packedAttentionWork(node, ATTENTION_PRODUCTS.backward),
  // Pages are read in place. Their tokens are counted by the caller, who knows how many there are.
  cachedAttention: ({ inputs, outputs }) => ({ moved: trafficOf([inputs[0]!], [outputs[0]!]) }),
};

/** The work of one run of a node. */
export function nodeWork(node: SizedNode): Work {
  const special = ofOp[node.op];
  const work = special?.(node) ?? { moved: trafficOf(node.inputs, node.outputs) };
  return workOf({ nodes: 1, ...work });
}

/** The work of a kernel that reads its inputs and writes its outputs once. */
export function kernelWork(inputs: readonly Sized[], outputs: readonly Sized[]): Work {
  return workOf({ nodes: 1, moved: trafficOf(inputs, outputs) });
}

function trafficOf(...sides: readonly (readonly Sized[])[]): number {
  return sides.flat().reduce((sum, sized) => sum + byteLengthOf(sized), 0);
}

/** A weight is a matrix, with which all rows are multiplied at once. Two batches are many small products. */
function productWork({ attributes, inputs, outputs }: SizedNode): Partial<Work> {
  const [a, b] = [inputs[0]!, inputs[1]!];
  const inner = a.shape.at((attributes as { transA: boolean }).transA ? -2 : -1)!;
  const operations = 2 * sizeOf(outputs[0]!.shape) * inner;
  const kind = a.shape.length > 2 && b.shape.length > 2 ? 'batched' : 'products';
  return { [kind]: operations, operands: trafficOf(inputs, outputs) };
}

/** A product by the weights of groups; those of groups without rows are not read. */
function groupedWork({ inputs, outputs }: SizedNode): Partial<Work> {
  const [x, , ...weights] = inputs;
  const [rows, inner] = x!.shape as [number, number];
  const read = weights.slice(0, rows);
  const operations = 2 * sizeOf(outputs[0]!.shape) * inner;
  return { products: operations, operands: trafficOf([x!], read, outputs) };
}

function outerWork({ inputs, outputs }: SizedNode): Partial<Work> {
  const operations = 2 * sizeOf(inputs[0]!.shape) * inputs[1]!.shape[1]!;
  return { products: operations, operands: trafficOf(inputs, outputs) };
}

function elementsWork({ inputs, outputs }: SizedNode): Partial<Work> {
  return { exponentials: sizeOf(outputs[0]!.shape), moved: trafficOf(inputs, outputs) };
}

function vocabularyWork({ inputs, outputs }: SizedNode): Partial<Work> {
  return { exponentials: sizeOf(inputs[0]!.shape), moved: trafficOf(inputs, outputs) };
}

function packedAttentionWork(
  { attributes, inputs, outputs, pairs }: SizedNode,
  products: number,
): Partial<Work> {
  const { heads } = attributes as PackedHeads;
  const width = inputs[0]!.shape.at(-1)!;
  return {
    batched: products * 2 * pairs * heads * width,
    exponentials: pairs * heads,
    moved: trafficOf(inputs, outputs),
  };
}

/** The reference evaluator: computes a graph op by op in plain TypeScript. It is slow, and the oracle of tests. */
import { CxmindError } from '../errors.ts';
import { nearestIn } from '../tensor/dtype.ts';
import { sizeOf, tensorOf, typeText, type Tensor } from '../tensor/tensor.ts';
import { isFloat, type Dim, type Graph, type Value } from './ir.ts';
import { arrayOf, type NdArray } from './ops/array.ts';
import type { DimSizes } from './ops/op.ts';
import { opOf } from './ops/table.ts';
import { sizeOfDim } from './dim.ts';

/** Binds the symbols of an input's shape to the sizes it came with. */
function bindSymbols(graph: Graph, input: Value, array: NdArray, bound: Map<Dim, number>): void {
  const fits =
    array.dtype === input.dtype &&
    array.shape.length === input.shape.length &&
    array.shape.every((size, axis) => {
      const dim = input.shape[axis]!;
      if (typeof dim === 'number') return dim === size;
      if (!bound.has(dim)) bound.set(dim, size);
      return bound.get(dim) === size;
    });
  if (!fits) {
    const what = `input '${input.name}' is ${typeText(input)}, got ${typeText(array)}`;
    throw new CxmindError('SHAPE_MISMATCH', `${graph.name}: ${what}`);
  }
}

function sizesFrom(bound: ReadonlyMap<Dim, number>): DimSizes {
  return (dim) => {
    const size = bound.get(dim) ?? sizeOfDim(dim, (name) => bound.get(name) ?? NaN);
    return Number.isNaN(size) ? undefined : size;
  };
}

/** Rounding of an evaluation: every value to its own dtype, or none, for finite differences. */
export type Rounding = 'dtype' | 'none';

/**
 * Computes a graph op by op.
 *
 * An op computes in double precision throughout, sums of products, norms and softmaxes included, and rounds once, when
 * it writes its outputs. A provider that accumulates in f32 then differs by no more than its dtype allows.
 *
 * @returns the outputs by name
 * @throws GRAPH_INVALID when an input is missing, SHAPE_MISMATCH when one does not fit
 */
export function evaluate(
  graph: Graph,
  inputs: Readonly<Record<string, NdArray>>,
  rounding: Rounding = 'dtype',
): Record<string, NdArray> {
  const values = new Map<number, NdArray>();
  const bound = new Map<Dim, number>();
  const keep = (id: number, array: NdArray): void => {
    values.set(id, rounding === 'dtype' ? rounded(array) : array);
  };
  for (const input of graph.inputs) {
    const array = inputs[input.name];
    if (array === undefined) {
      throw new CxmindError('GRAPH_INVALID', `${graph.name}: input '${input.name}' is missing`);
    }
    bindSymbols(graph, input, array, bound);
    keep(input.id, array);
  }
  for (const [id, tensor] of graph.constants) values.set(id, arrayOf(tensor));
  const sizes = sizesFrom(bound);
  for (const node of graph.nodes) {
    const operands = node.inputs.map((input) => values.get(input.id)!);
    const results = opOf(node).evaluate(operands, node.attributes, sizes);
    node.outputs.forEach((output, i) => {
      const result = results[i]!;
      if (sizeOf(result.shape) !== result.data.length || result.dtype !== output.dtype) {
        const what = `${result.data.length} elements of ${typeText(result)} for ${typeText(output)}`;
        throw new CxmindError('INTERNAL', `${node.op}: ${what}`);
      }
      keep(output.id, result);
    });
  }
  return Object.fromEntries(graph.outputs.map(({ name, value }) => [name, values.get(value.id)!]));
}

function rounded(array: NdArray): NdArray {
  const { dtype, data } = array;
  return isFloat(dtype) ? { ...array, data: data.map((value) => nearestIn(dtype, value)) } : array;
}

/** Computes a graph from tensors to tensors, as `evaluate` does from arrays to arrays. */
export function interpret(
  graph: Graph,
  inputs: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const arrays = Object.entries(inputs).map(([name, tensor]) => [name, arrayOf(tensor)] as const);
  const outputs = Object.entries(evaluate(graph, Object.fromEntries(arrays)));
  return Object.fromEntries(
    outputs.map(([name, { dtype, shape, data }]) => [name, tensorOf(dtype, shape, data)]),
  );
}

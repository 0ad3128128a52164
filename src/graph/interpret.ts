import { CxmindError } from '../errors.ts';
import { bf16ToNumber, numberToBf16 } from '../tensor/dtype.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';
import type { Dim, Graph, Value } from './ir.ts';
import { sizeOf, type NdArray } from './ops/array.ts';
import type { DimSizes } from './ops/op.ts';
import { opOf } from './ops/table.ts';
import { evaluateDim, formatShape } from './shape.ts';

/** A tensor's elements as doubles. */
export function toArray({ dtype, shape, data }: Tensor): NdArray {
  const values = new Float64Array(data.length);
  for (let i = 0; i < values.length; i++) {
    values[i] = dtype === 'bf16' ? bf16ToNumber(Number(data[i]!)) : Number(data[i]!);
  }
  return { dtype, shape, data: values };
}

/** The tensor nearest to an array. */
export function toTensor({ dtype, shape, data }: NdArray): Tensor {
  const tensor = zeros(dtype, shape);
  if (tensor.dtype === 'i64') {
    (tensor.data as BigInt64Array).set(Array.from(data, (value) => BigInt(value)));
  } else {
    (tensor.data as Float32Array).set(dtype === 'bf16' ? data.map(numberToBf16) : data);
  }
  return tensor;
}

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
    const wanted = `${input.dtype} ${formatShape(input.shape)}`;
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `${graph.name}: input '${input.name}' is ${wanted}, got ${array.dtype} ${formatShape(array.shape)}`,
    );
  }
}

function sizesFrom(bound: ReadonlyMap<Dim, number>): DimSizes {
  const unknown = Symbol('unknown');
  return (dim) => {
    const known = bound.get(dim);
    if (known !== undefined) return known;
    const value = evaluateDim<number | typeof unknown>(dim, {
      number: (number) => number,
      symbol: (name) => bound.get(name) ?? unknown,
      binary: (operator, left, right) => {
        if (left === unknown || right === unknown) return unknown;
        return { '+': left + right, '-': left - right, '*': left * right, '/': left / right }[
          operator
        ];
      },
    });
    return value === unknown ? undefined : value;
  };
}

/**
 * Computes a graph op by op in double precision: slow, and the oracle of tests.
 *
 * @returns the outputs by name, float dtypes not rounded
 * @throws GRAPH_INVALID when an input is missing, SHAPE_MISMATCH when one does not fit
 */
export function evaluate(
  graph: Graph,
  inputs: Readonly<Record<string, NdArray>>,
): Record<string, NdArray> {
  const values = new Map<number, NdArray>();
  const bound = new Map<Dim, number>();
  for (const input of graph.inputs) {
    const array = inputs[input.name];
    if (array === undefined) {
      throw new CxmindError('GRAPH_INVALID', `${graph.name}: input '${input.name}' is missing`);
    }
    bindSymbols(graph, input, array, bound);
    values.set(input.id, array);
  }
  for (const [id, tensor] of graph.constants) values.set(id, toArray(tensor));
  const sizes = sizesFrom(bound);
  for (const node of graph.nodes) {
    const operands = node.inputs.map((input) => values.get(input.id)!);
    const results = opOf(node).evaluate(operands, node.attributes, sizes);
    node.outputs.forEach((output, i) => {
      const result = results[i]!;
      if (sizeOf(result.shape) !== result.data.length) {
        throw new CxmindError(
          'INTERNAL',
          `${node.op}: ${result.data.length} elements for ${formatShape(result.shape)}`,
        );
      }
      values.set(output.id, result);
    });
  }
  return Object.fromEntries(graph.outputs.map(({ name, value }) => [name, values.get(value.id)!]));
}

/** Computes a graph from tensors to tensors, in double precision in between; see `evaluate`. */
export function interpret(
  graph: Graph,
  inputs: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const arrays = Object.entries(inputs).map(([name, tensor]) => [name, toArray(tensor)] as const);
  const outputs = Object.entries(evaluate(graph, Object.fromEntries(arrays)));
  return Object.fromEntries(outputs.map(([name, array]) => [name, toTensor(array)]));
}

import { CxmindError } from '../errors.ts';
import type { Dim, Graph } from '../graph/ir.ts';
import { evaluateDim } from '../graph/shape.ts';
import type { View, Views } from './device.ts';

/**
 * The inputs that a graph names, of those given.
 *
 * @throws GRAPH_INVALID where one is missing
 */
export function inputsOf(graph: Graph, given: Views): [name: string, view: View][] {
  return graph.inputs.map(({ name }) => {
    const view = given[name];
    if (view === undefined) {
      throw new CxmindError('GRAPH_INVALID', `${graph.name}: no input ${name}`);
    }
    return [name, view];
  });
}

/** The shape of every output of a graph, in its order, with the sizes that its inputs have. */
export function outputShapes(graph: Graph, inputs: Views): (readonly number[])[] {
  const sizes = symbolSizes(graph, inputs);
  return graph.outputs.map(({ value }) => value.shape.map((dim) => sizeOfDim(dim, sizes)));
}

/** The size of every plain symbol, read off the tensors that are given for the inputs. */
function symbolSizes(graph: Graph, inputs: Views): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const value of graph.inputs) {
    for (const [axis, dim] of value.shape.entries()) {
      if (typeof dim === 'string') sizes.set(dim, inputs[value.name]!.shape[axis]!);
    }
  }
  return sizes;
}

function sizeOfDim(dim: Dim, sizes: ReadonlyMap<string, number>): number {
  if (typeof dim === 'number') return dim;
  return (
    sizes.get(dim) ??
    evaluateDim<number>(dim, {
      number: (value) => value,
      symbol: (name) => {
        const size = sizes.get(name);
        if (size === undefined) throw new CxmindError('INTERNAL', `no input has dimension ${name}`);
        return size;
      },
      binary: (operator, a, b) =>
        operator === '+' ? a + b : operator === '-' ? a - b : operator === '*' ? a * b : a / b,
    })
  );
}

import { CxmindError } from '../errors.ts';
import type { Dim, Graph, ValueType } from '../graph/ir.ts';
import type { Shapes } from '../graph/kernel.ts';
import { evaluateDim } from '../graph/shape.ts';
import { sizeOf } from '../tensor/tensor.ts';
import type { View, Views, Workspace } from './device.ts';

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

/** Every output of a run with these inputs: where `into` names it, else taken from the workspace. */
export function outputsOf(graph: Graph, inputs: Views, workspace: Workspace, into: Views): Views {
  const shapes = outputShapes(graph, inputs);
  return Object.fromEntries(
    graph.outputs.map(({ name, value }, i) => [
      name,
      into[name] ?? workspace.take(value.dtype, shapes[i]!),
    ]),
  );
}

/**
 * Sees to it that a view has the elements from `start` on that a shape wants.
 *
 * @throws SHAPE_MISMATCH
 */
export function checkPart(view: View, start: number, shape: readonly number[]): void {
  const [end, size] = [start + sizeOf(shape), sizeOf(view.shape)];
  if (start >= 0 && end <= size) return;
  throw new CxmindError('SHAPE_MISMATCH', `part: ${start}..${end} of ${size} elements`);
}

/** The shape of every output of a graph, in its order, with the sizes that its inputs have. */
export function outputShapes(graph: Graph, inputs: Views): Shapes {
  return shapesOf(
    graph.outputs.map(({ value }) => value),
    graph.inputs,
    graph.inputs.map(({ name }) => inputs[name]!.shape),
  );
}

/** The shapes of some values where others have these sizes. */
export function shapesOf(
  values: readonly ValueType[],
  from: readonly ValueType[],
  shapes: Shapes,
): Shapes {
  const sizes = new Map<string, number>();
  for (const [i, { shape }] of from.entries()) {
    for (const [axis, dim] of shape.entries()) {
      if (typeof dim === 'string') sizes.set(dim, shapes[i]![axis]!);
    }
  }
  return values.map(({ shape }) => shape.map((dim) => sizeOfDim(dim, sizes)));
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

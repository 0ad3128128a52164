import { CxmindError } from '../errors.ts';
import type { Graph } from '../graph/ir.ts';
import type { Shapes } from '../graph/kernel.ts';
import { shapesOf } from '../graph/shape.ts';
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
    graph.outputs.map(({ value }) => value.shape),
    graph.inputs,
    graph.inputs.map(({ name }) => inputs[name]!.shape),
  );
}

/** The views that a run of a graph reads and writes. */
import { CxmindError } from '../errors.ts';
import type { Graph } from '../graph/ir.ts';
import { shapesOf } from '../graph/shape.ts';
import type { View, Views, Workspace } from './device.ts';

/**
 * The inputs that a graph names, out of the given views.
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

/** Every output of a run: the view in `into` of its name, or one taken from the workspace. */
export function outputsOf(graph: Graph, inputs: Views, workspace: Workspace, into: Views): Views {
  const shapes = shapesOf(
    graph.outputs.map(({ value }) => value.shape),
    graph.inputs,
    graph.inputs.map(({ name }) => inputs[name]!.shape),
  );
  return Object.fromEntries(
    graph.outputs.map(({ name, value }, i) => [
      name,
      into[name] ?? workspace.take(value.dtype, shapes[i]!),
    ]),
  );
}

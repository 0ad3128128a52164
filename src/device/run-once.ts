import { CxmindError } from '../errors.ts';
import { shapesOf } from '../graph/shape.ts';
import type { Program, Views, Workspace } from './device.ts';

/**
 * Binds the inputs and outputs of a program, and queues one run; see `Program.run`.
 *
 * @throws GRAPH_INVALID where an input is missing
 */
export function runOnce(
  program: Program,
  inputs: Views,
  workspace: Workspace,
  into: Views = {},
): Views {
  const { graph } = program;
  using bound = program.bind();
  const inputShapes = graph.inputs.map(({ name }) => {
    const view = inputs[name];
    if (view === undefined) {
      throw new CxmindError('GRAPH_INVALID', `${graph.name}: no input ${name}`);
    }
    bound.input(name, view);
    return view.shape;
  });
  const shapes = shapesOf(
    graph.outputs.map(({ value }) => value),
    graph.inputs,
    inputShapes,
  );
  const outputs = Object.fromEntries(
    graph.outputs.map(({ name, value }, i) => {
      const view = into[name] ?? workspace.take(value.dtype, shapes[i]!);
      bound.output(name, view);
      return [name, view];
    }),
  );
  bound.run();
  return outputs;
}

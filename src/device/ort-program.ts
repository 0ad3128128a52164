import type { Graph } from '../graph/ir.ts';
import type { Shapes } from '../graph/kernel.ts';
import type { Source } from '../ort/value.ts';
import type { Session } from '../ort/session.ts';
import type { BoundProgram, Program, View } from './device.ts';
import { runOnce } from './run-once.ts';

/**
 * A graph compiled by ONNX Runtime, as a program of a device whose memory has addresses.
 *
 * @param session  disposed with the program
 * @param sourceOf gives the source that a binding takes for a view
 * @param begin    hears the shapes of the inputs, in the graph's order, before each run
 */
export function ortProgram(
  graph: Graph,
  session: Session,
  sourceOf: (view: View) => Source,
  begin?: (inputs: Shapes) => void,
): Program {
  const bind = (): BoundProgram => {
    const binding = session.bind();
    const shapes = new Map<string, readonly number[]>();
    const bound: BoundProgram = {
      input: (name, view) => {
        shapes.set(name, view.shape);
        binding.input(name, sourceOf(view));
        return bound;
      },
      output: (name, view) => {
        binding.output(name, sourceOf(view));
        return bound;
      },
      run: () => {
        begin?.(graph.inputs.map(({ name }) => shapes.get(name) ?? []));
        binding.run();
      },
      [Symbol.dispose]: () => binding[Symbol.dispose](),
    };
    return bound;
  };
  const program: Program = {
    graph,
    bind,
    run: (inputs, workspace, into) => runOnce(program, inputs, workspace, into),
    [Symbol.dispose]: () => session[Symbol.dispose](),
  };
  return program;
}

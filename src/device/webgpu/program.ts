import { encode } from '../../graph/encode.ts';
import type { Graph } from '../../graph/ir.ts';
import { webgpu } from '../../graph/target.ts';
import type { Runtime } from '../../ort/runtime.ts';
import type { Session } from '../../ort/session.ts';
import type { BoundProgram, Program, View } from '../device.ts';
import { runOnce } from '../run-once.ts';
import { storageOf, type Storage } from './view.ts';
import type { BufferWorkspace } from './workspace.ts';

/**
 * Compiles a graph by ONNX Runtime's WebGPU provider.
 *
 * @param spare gives the spare buffers
 */
export function webGpuProgram(runtime: Runtime, graph: Graph, spare: BufferWorkspace): Program {
  const { name } = graph;
  const session = runtime.compile(encode(graph, webgpu), { name, provider: 'webgpu' });
  const program: Program = {
    graph,
    run: (inputs, workspace, into) => runOnce(program, inputs, workspace, into),
    bind: () => {
      const [inputs, outputs] = [new Map<string, View>(), new Map<string, View>()];
      const bound: BoundProgram = {
        input: (end, view) => {
          inputs.set(end, view);
          return bound;
        },
        output: (end, view) => {
          outputs.set(end, view);
          return bound;
        },
        run: () => runBound(session, spare, inputs, outputs),
        [Symbol.dispose]: () => undefined,
      };
      return bound;
    },
    [Symbol.dispose]: () => session[Symbol.dispose](),
  };
  return program;
}

/**
 * Runs a session over views.
 *
 * A dispatch may not read and write the same buffer. So an output that is also an input goes to a spare buffer, and the
 * two buffers then exchange places. Views change buffers in this way, so every run binds them anew.
 */
function runBound(
  session: Session,
  spare: BufferWorkspace,
  inputs: ReadonlyMap<string, View>,
  outputs: ReadonlyMap<string, View>,
): void {
  using binding = session.bind();
  const read = new Set<Storage>();
  for (const [name, view] of inputs) {
    const storage = storageOf(view);
    read.add(storage);
    binding.input(name, storage.tensor(view.dtype, view.shape));
  }
  using _ = spare.scope();
  const swaps: [Storage, Storage][] = [];
  for (const [name, view] of outputs) {
    const own = storageOf(view);
    let target = own;
    if (read.has(own)) {
      target = spare.storage(own.byteLength);
      swaps.push([own, target]);
    }
    binding.output(name, target.tensor(view.dtype, view.shape));
  }
  binding.run();
  for (const [own, target] of swaps) own.swap(target);
}

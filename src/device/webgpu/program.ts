import { CxmindError } from '../../errors.ts';
import { encode } from '../../graph/encode.ts';
import type { Graph } from '../../graph/ir.ts';
import { webgpu } from '../../graph/target.ts';
import type { Runtime } from '../../ort/runtime.ts';
import type { Session } from '../../ort/session.ts';
import type { BoundProgram, Program, View, Views, Workspace } from '../device.ts';
import { runOnce } from '../run-once.ts';
import { storageOf, type Storage } from './view.ts';
import type { BufferWorkspace } from './workspace.ts';

/** A graph compiled by ONNX Runtime's WebGPU provider. */
export class WebGpuProgram implements Program {
  readonly graph: Graph;
  readonly #session: Session;
  readonly #spare: BufferWorkspace;

  /** @param spare gives the spare buffers */
  constructor(runtime: Runtime, graph: Graph, spare: BufferWorkspace) {
    this.graph = graph;
    this.#session = runtime.compile(encode(graph, webgpu), {
      name: graph.name,
      provider: 'webgpu',
    });
    this.#spare = spare;
  }

  run(inputs: Views, workspace: Workspace, into?: Views): Views {
    return runOnce(this, inputs, workspace, into);
  }

  bind(): BoundProgram {
    return new BoundWebGpuProgram(this.#session, this.#spare);
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}

/**
 * A bound run of a `WebGpuProgram`.
 *
 * A dispatch may not read and write the same buffer. So an output that is also an input goes to a spare buffer, and the
 * two buffers then exchange places. Views change buffers in this way, so every run binds them anew.
 */
class BoundWebGpuProgram implements BoundProgram {
  readonly #session: Session;
  readonly #spare: BufferWorkspace;
  readonly #inputs = new Map<string, View>();
  readonly #outputs = new Map<string, View>();

  constructor(session: Session, spare: BufferWorkspace) {
    this.#session = session;
    this.#spare = spare;
  }

  input(name: string, view: View): this {
    this.#inputs.set(name, view);
    return this;
  }

  output(name: string, view: View): this {
    this.#outputs.set(name, view);
    return this;
  }

  run(): void {
    using binding = this.#session.bind();
    const read = new Set<Storage>();
    for (const [name, view] of this.#inputs) {
      const storage = storageOf(view);
      read.add(storage);
      binding.input(name, storage.tensor(view.dtype, view.shape));
    }
    using _ = this.#spare.scope();
    const swaps: [Storage, Storage][] = [];
    for (const [name, view] of this.#outputs) {
      const own = storageOf(view);
      let target = own;
      if (read.has(own)) {
        target = this.#spare.storage(own.byteLength);
        if (target.byteLength !== own.byteLength) {
          const what = `${this.#session.name}: no spare buffer like ${name}'s`;
          throw new CxmindError('INTERNAL', what);
        }
        swaps.push([own, target]);
      }
      binding.output(name, target.tensor(view.dtype, view.shape));
    }
    binding.run();
    for (const [own, target] of swaps) own.swap(target);
  }

  [Symbol.dispose](): void {}
}

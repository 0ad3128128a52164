import { encode } from '../../graph/encode.ts';
import type { Graph } from '../../graph/ir.ts';
import type { Binding } from '../../ort/binding.ts';
import type { Runtime } from '../../ort/runtime.ts';
import type { Session } from '../../ort/session.ts';
import type { BoundProgram, Program, View, Views, Workspace } from '../device.ts';
import { inputsOf, outputShapes } from '../dims.ts';
import { hostTensor } from './host-view.ts';

/** A graph compiled by ONNX Runtime's CPU provider; runs at once, on this thread and the pool. */
export class CpuProgram implements Program {
  readonly graph: Graph;
  readonly #session: Session;

  constructor(runtime: Runtime, graph: Graph) {
    this.graph = graph;
    this.#session = runtime.compile(encode(graph), { name: graph.name });
  }

  run(inputs: Views, workspace: Workspace, into: Views = {}): Views {
    using binding = this.#session.bind();
    for (const [name, view] of inputsOf(this.graph, inputs)) binding.input(name, hostTensor(view));
    const shapes = outputShapes(this.graph, inputs);
    const results: Record<string, View> = {};
    for (const [i, { name, value }] of this.graph.outputs.entries()) {
      const view = into[name] ?? workspace.take(value.dtype, shapes[i]!);
      binding.output(name, hostTensor(view));
      results[name] = view;
    }
    binding.run();
    return results;
  }

  bind(): BoundProgram {
    return new CpuBoundProgram(this.#session.bind());
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}

class CpuBoundProgram implements BoundProgram {
  readonly #binding: Binding;

  constructor(binding: Binding) {
    this.#binding = binding;
  }

  input(name: string, view: View): this {
    this.#binding.input(name, hostTensor(view));
    return this;
  }

  output(name: string, view: View): this {
    this.#binding.output(name, hostTensor(view));
    return this;
  }

  run(): void {
    this.#binding.run();
  }

  [Symbol.dispose](): void {
    this.#binding[Symbol.dispose]();
  }
}

import type { Graph } from '../graph/ir.ts';
import type { Binding, Source } from '../ort/binding.ts';
import type { Session } from '../ort/session.ts';
import type { BoundProgram, Program, View, Views, Workspace } from './device.ts';
import { inputsOf, outputsOf } from './dims.ts';

/** A graph compiled by ONNX Runtime for a device whose memory has addresses. */
export class OrtProgram implements Program {
  readonly graph: Graph;
  readonly #session: Session;
  readonly #sourceOf: (view: View) => Source;

  /**
   * @param session disposed with the program
   * @param sourceOf what a binding takes for a view of the device
   */
  constructor(graph: Graph, session: Session, sourceOf: (view: View) => Source) {
    this.graph = graph;
    this.#session = session;
    this.#sourceOf = sourceOf;
  }

  run(inputs: Views, workspace: Workspace, into: Views = {}): Views {
    using binding = this.#session.bind();
    for (const [name, view] of inputsOf(this.graph, inputs)) {
      binding.input(name, this.#sourceOf(view));
    }
    const results = outputsOf(this.graph, inputs, workspace, into);
    for (const [name, view] of Object.entries(results)) {
      binding.output(name, this.#sourceOf(view));
    }
    binding.run();
    return results;
  }

  bind(): BoundProgram {
    return new BoundOrtProgram(this.#session.bind(), this.#sourceOf);
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}

class BoundOrtProgram implements BoundProgram {
  readonly #binding: Binding;
  readonly #sourceOf: (view: View) => Source;

  constructor(binding: Binding, sourceOf: (view: View) => Source) {
    this.#binding = binding;
    this.#sourceOf = sourceOf;
  }

  input(name: string, view: View): this {
    this.#binding.input(name, this.#sourceOf(view));
    return this;
  }

  output(name: string, view: View): this {
    this.#binding.output(name, this.#sourceOf(view));
    return this;
  }

  run(): void {
    this.#binding.run();
  }

  [Symbol.dispose](): void {
    this.#binding[Symbol.dispose]();
  }
}

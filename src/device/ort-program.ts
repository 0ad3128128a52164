import type { Graph } from '../graph/ir.ts';
import type { Shapes } from '../graph/kernel.ts';
import type { Binding, Source } from '../ort/binding.ts';
import type { Session } from '../ort/session.ts';
import type { BoundProgram, Program, View, Views, Workspace } from './device.ts';
import { runOnce } from './run-once.ts';

type BeginRun = (inputs: Shapes) => void;

/** A graph compiled by ONNX Runtime for a device whose memory has addresses. */
export class OrtProgram implements Program {
  readonly graph: Graph;
  readonly #session: Session;
  readonly #sourceOf: (view: View) => Source;
  readonly #begin: BeginRun;

  /**
   * @param session disposed with the program
   * @param sourceOf gives the source that a binding takes for a view
   * @param begin hears the shapes of the inputs, in the graph's order, before each run
   */
  constructor(
    graph: Graph,
    session: Session,
    sourceOf: (view: View) => Source,
    begin: BeginRun = () => undefined,
  ) {
    this.graph = graph;
    this.#session = session;
    this.#sourceOf = sourceOf;
    this.#begin = begin;
  }

  run(inputs: Views, workspace: Workspace, into?: Views): Views {
    return runOnce(this, inputs, workspace, into);
  }

  bind(): BoundProgram {
    return new BoundOrtProgram(this.graph, this.#session.bind(), this.#sourceOf, this.#begin);
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}

/** A bound run of an `OrtProgram`. */
class BoundOrtProgram implements BoundProgram {
  readonly #graph: Graph;
  readonly #binding: Binding;
  readonly #sourceOf: (view: View) => Source;
  readonly #begin: BeginRun;
  readonly #shapes = new Map<string, readonly number[]>();

  constructor(graph: Graph, binding: Binding, sourceOf: (view: View) => Source, begin: BeginRun) {
    this.#graph = graph;
    this.#binding = binding;
    this.#sourceOf = sourceOf;
    this.#begin = begin;
  }

  input(name: string, view: View): this {
    this.#shapes.set(name, view.shape);
    this.#binding.input(name, this.#sourceOf(view));
    return this;
  }

  output(name: string, view: View): this {
    this.#binding.output(name, this.#sourceOf(view));
    return this;
  }

  run(): void {
    this.#begin(this.#graph.inputs.map(({ name }) => this.#shapes.get(name) ?? []));
    this.#binding.run();
  }

  [Symbol.dispose](): void {
    this.#binding[Symbol.dispose]();
  }
}

import { CxmindError } from '../errors.ts';
import { typeText } from '../tensor/tensor.ts';
import type { Pointer } from './abi.ts';
import type { Context } from './context.ts';
import { Handle } from './handle.ts';
import { checkFits, ioNamed, type IoInfo } from './io-info.ts';
import { valueOver, type Source } from './value.ts';

/** An input or output of a compiled graph. */
export interface GraphIo {
  readonly info: IoInfo;
  /** Address of the name as a C string. */
  readonly name: bigint;
}

/** The compiled graph of a binding. */
export interface CompiledGraph {
  readonly name: string;
  readonly handle: Handle;
  readonly inputs: ReadonlyMap<string, GraphIo>;
  readonly outputs: ReadonlyMap<string, GraphIo>;
  /** Null for ONNX Runtime's defaults. */
  readonly runOptions: Pointer;
  /** True if the device has memory of its own, so that binding a host tensor copies it. */
  readonly copiesInputs: boolean;
}

/**
 * Memory bound to the inputs and outputs of a compiled graph.
 *
 * Bind once, run many times, and bind again only what changes. Binding the same object again costs nothing. Inputs are
 * read and outputs written in place. The same memory may be an input and an output, where the operator allows that.
 */
export class Binding implements Disposable {
  readonly #context: Context;
  readonly #graph: CompiledGraph;
  readonly #handle: Handle;
  // What is bound by name. It also keeps memory that native code reads and writes from the garbage collector.
  readonly #inputs = new Map<string, Source>();
  readonly #outputs = new Map<string, Source>();

  constructor(context: Context, graph: CompiledGraph) {
    const { native } = context;
    const ort = native.functions;
    this.#context = context;
    this.#graph = graph;
    using made = new DisposableStack();
    made.use(graph.handle.hold());
    const session = graph.handle.pointer;
    const pointer = native.out(graph.name, (slot) => ort.CreateIoBinding(session, slot));
    made.adopt(pointer, ort.ReleaseIoBinding);
    this.#handle = new Handle(`${graph.name}: binding`, pointer, made.move());
  }

  /**
   * Binds an input to a tensor's memory, in place of earlier memory.
   *
   * @throws GRAPH_INVALID for an unknown name; DTYPE_MISMATCH, SHAPE_MISMATCH when it does not fit
   */
  input(name: string, source: Source): this {
    if (this.#inputs.get(name) === source && !this.#handle.isDisposed) return this;
    const io = ioNamed(this.#graph.inputs, name, 'input', this.#graph.name);
    this.#bind(io, source, this.#context.native.functions.BindInput);
    this.#inputs.set(name, source);
    return this;
  }

  /**
   * Binds an output to a tensor's memory, in place of earlier memory. An output that is not bound is not computed.
   *
   * @throws GRAPH_INVALID for an unknown name; DTYPE_MISMATCH, SHAPE_MISMATCH when it does not fit
   */
  output(name: string, target: Source): this {
    if (this.#outputs.get(name) === target && !this.#handle.isDisposed) return this;
    const io = ioNamed(this.#graph.outputs, name, 'output', this.#graph.name);
    this.#bind(io, target, this.#context.native.functions.BindOutput);
    this.#outputs.set(name, target);
    return this;
  }

  /**
   * Runs on this thread and the pool. The outputs are written when it returns; on a device with a stream their
   * computation is queued.
   *
   * @throws RUNTIME_FAILED with ONNX Runtime's text; DEVICE_OUT_OF_MEMORY
   */
  run(): void {
    this.#prepare();
    const { RunWithBinding } = this.#context.native.functions;
    const { name, handle, runOptions } = this.#graph;
    const { observer } = this.#context;
    observer?.start(name);
    const status = RunWithBinding(handle.pointer, runOptions, this.#handle.pointer);
    observer?.end();
    this.#finish(status);
  }

  /** Releases the native binding. */
  [Symbol.dispose](): void {
    this.#handle[Symbol.dispose]();
  }

  #bind(
    io: GraphIo,
    source: Source,
    bind: (binding: Pointer, name: Pointer, value: Pointer) => Pointer,
  ): void {
    const { native } = this.#context;
    const { name } = this.#graph;
    const pointer = this.#handle.pointer;
    checkFits(io.info, source, name);
    const value = valueOver(this.#context, source, `${name}: ${io.info.name}`);
    // The binding shares the native tensor, so the handle made for it is not needed after this.
    const status = bind(pointer, io.name, value);
    native.functions.ReleaseValue(value);
    native.check(status, name);
  }

  #prepare(): void {
    const { inputs, name, copiesInputs } = this.#graph;
    if (this.#inputs.size !== inputs.size) {
      const unbound = [...inputs.keys()].filter((key) => !this.#inputs.has(key));
      throw new CxmindError('GRAPH_INVALID', `${name}: nothing bound to ${unbound.join(', ')}`);
    }
    if (!copiesInputs) return;
    const { BindInput } = this.#context.native.functions;
    for (const [key, source] of this.#inputs) {
      if (!('memory' in source)) this.#bind(inputs.get(key)!, source, BindInput);
    }
  }

  #finish(status: Pointer): void {
    if (status === null) return;
    const { name } = this.#graph;
    const sources = [...this.#inputs, ...this.#outputs];
    const bound = sources.map(([io, source]) => `${io} ${typeText(source)}`);
    this.#context.native.check(status, `${name} (${bound.join(', ')})`);
  }
}

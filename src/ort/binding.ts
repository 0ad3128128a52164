import { CxmindError } from '../errors.ts';
import { viewOf } from '../tensor/dtype.ts';
import { sizeOf, zeros, type Tensor } from '../tensor/tensor.ts';
import type { Pointer } from './abi.ts';
import type { Context } from './context.ts';
import type { DeviceTensor } from './device-tensor.ts';
import { Handle } from './handle.ts';
import { checkFits, describeTensor, type IoInfo } from './io-info.ts';
import { bytesAt, pointersAt } from './native.ts';
import { OrtValue } from './value.ts';

/** What can be bound: memory of the host's, a native value over it, or memory of a device. */
export type Source = Tensor | OrtValue | DeviceTensor;

/** One end of a compiled graph as a binding needs it. */
export interface End {
  readonly info: IoInfo;
  /** Address of the name as a C string. */
  readonly name: bigint;
}

/** The compiled graph a binding belongs to. */
export interface Compiled {
  readonly name: string;
  readonly handle: Handle;
  readonly inputs: ReadonlyMap<string, End>;
  readonly outputs: ReadonlyMap<string, End>;
  /** Null for ONNX Runtime's defaults. */
  readonly runOptions: Pointer;
  /** True when the device has memory of its own, so that inputs are copied when they are bound. */
  readonly copiesInputs: boolean;
}

/**
 * Memory bound to the ends of a compiled graph: bind once, run many times, and rebind only what changes.
 *
 * Inputs are read and outputs written in place. The same memory may be bound as an input and as an
 * output where the operator allows it. Binding what is already bound costs nothing.
 */
export class Binding implements Disposable {
  readonly #context: Context;
  readonly #graph: Compiled;
  readonly #handle: Handle;
  readonly #inputs = new Map<string, Source>();
  readonly #outputs = new Map<string, Source>();
  /** What native code reads and writes; kept from the collector. */
  readonly #memory = new Map<End, Tensor['data'] | DeviceTensor>();
  #isRunning = false;

  constructor(context: Context, graph: Compiled) {
    const { functions } = context.native;
    this.#context = context;
    this.#graph = graph;
    const pointer = context.native.out(graph.name, (slot) =>
      functions.CreateIoBinding(graph.handle.pointer, slot),
    );
    graph.handle.hold();
    this.#handle = new Handle(`${graph.name}: binding`, pointer, () => {
      functions.ReleaseIoBinding(pointer);
      graph.handle.drop();
    });
  }

  /**
   * Read an input from a tensor's memory, in place of what was bound to it before.
   *
   * @throws GRAPH_INVALID for an unknown name; DTYPE_MISMATCH, SHAPE_MISMATCH when it does not fit
   */
  input(name: string, source: Source): this {
    if (this.#inputs.get(name) === source && !this.#handle.isDisposed) return this;
    this.#bind(this.#end('inputs', name), source, this.#context.native.functions.BindInput);
    this.#inputs.set(name, source);
    return this;
  }

  /**
   * Write an output to a tensor's memory, in place of what was bound to it before. An output that is
   * not bound is not given.
   *
   * @throws GRAPH_INVALID for an unknown name; DTYPE_MISMATCH, SHAPE_MISMATCH when it does not fit
   */
  output(name: string, target: Source): this {
    if (this.#outputs.get(name) === target && !this.#handle.isDisposed) return this;
    this.#bind(this.#end('outputs', name), target, this.#context.native.functions.BindOutput);
    this.#outputs.set(name, target);
    return this;
  }

  /**
   * Run on this thread and the pool; the outputs are written when it returns, but for a device with a stream, where
   * their computation is queued.
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

  /**
   * Run on another thread; the outputs are written when the promise resolves. Until then nothing can
   * be bound or run here, and the bound memory belongs to the run. ONNX Runtime 1.30 itself loses 2 to
   * 5 KiB in each run that is stopped or fails, so cancel what has become useless, not to keep time.
   *
   * @param options.signal stops the run between two operators
   * @throws RUNTIME_CANCELLED after the signal; RUNTIME_FAILED; DEVICE_OUT_OF_MEMORY
   */
  async runAsync(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    const { native } = this.#context;
    const { CreateRunOptions, ReleaseRunOptions, RunOptionsSetTerminate, RunWithBinding } =
      native.functions;
    const isCancelled = (): boolean => signal?.aborted === true;
    this.#prepare();
    if (isCancelled()) throw this.#cancelled(signal);
    const session = this.#graph.handle.pointer;
    const binding = this.#handle.hold().pointer;
    const runOptions = native.out(this.#graph.name, (slot) => CreateRunOptions(slot));
    const stop = (): void => {
      native.check(RunOptionsSetTerminate(runOptions), this.#graph.name);
    };
    signal?.addEventListener('abort', stop, { once: true });
    this.#isRunning = true;
    try {
      const status = await new Promise<Pointer>((resolve, reject) => {
        RunWithBinding.async(session, runOptions, binding, (error, result) => {
          if (error === null) resolve(result);
          else reject(error);
        });
      });
      if (status !== null && isCancelled()) {
        native.take(status);
        throw this.#cancelled(signal);
      }
      this.#finish(status);
    } finally {
      this.#isRunning = false;
      signal?.removeEventListener('abort', stop);
      ReleaseRunOptions(runOptions);
      this.#handle.drop();
    }
  }

  /**
   * Run, and give every output as a tensor of its own, bound or not: for tests and rare paths, because
   * it allocates and copies.
   *
   * @throws as `run`
   */
  runToTensors(): Record<string, Tensor> {
    const { native, memoryInfo, allocator } = this.#context;
    const { name, outputs } = this.#graph;
    const f = native.functions;
    this.#outputs.clear();
    for (const end of outputs.values()) {
      native.check(f.BindOutputToDevice(this.#handle.pointer, end.name, memoryInfo), name);
      this.#memory.delete(end);
    }
    this.run();
    const [array, count] = native.outPair(name, (values, counter) =>
      f.GetBoundOutputValues(this.#handle.pointer, allocator, values, counter),
    );
    const values = pointersAt(array, Number(count));
    try {
      return Object.fromEntries(
        [...outputs.keys()].map((key, i) => [key, this.#copyOf(values[i]!, `${name}: ${key}`)]),
      );
    } finally {
      for (const value of values) f.ReleaseValue(value);
      native.check(f.AllocatorFree(allocator, array), name);
    }
  }

  /** Release the native binding; a run in flight keeps it until it ends. */
  [Symbol.dispose](): void {
    this.#handle[Symbol.dispose]();
  }

  #end(side: 'inputs' | 'outputs', name: string): End {
    const end = this.#graph[side].get(name);
    if (end !== undefined) return end;
    const known = [...this.#graph[side].keys()].join(', ');
    throw new CxmindError(
      'GRAPH_INVALID',
      `${this.#graph.name}: no ${side.slice(0, -1)} ${name}; it has ${known}`,
    );
  }

  #bind(
    end: End,
    source: Source,
    bind: (binding: Pointer, name: Pointer, value: Pointer) => Pointer,
  ): void {
    const { native, values } = this.#context;
    const { name } = this.#graph;
    const pointer = this.#handle.pointer;
    if (this.#isRunning) throw this.#busy();
    if (source instanceof OrtValue) {
      checkFits(end.info, source.tensor, name);
      native.check(bind(pointer, end.name, source.pointer), name);
      this.#memory.set(end, source.tensor.data);
      return;
    }
    checkFits(end.info, source, name);
    const where = `${name}: ${end.info.name}`;
    const onDevice = 'memory' in source;
    const value = onDevice ? values.makeOnDevice(source, where) : values.make(source, where);
    // The binding shares the native tensor, so the handle made for it is not needed after this.
    const status = bind(pointer, end.name, value);
    native.functions.ReleaseValue(value);
    native.check(status, name);
    this.#memory.set(end, onDevice ? source : source.data);
  }

  #prepare(): void {
    if (this.#isRunning) throw this.#busy();
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
    const bound = [...this.#inputs, ...this.#outputs].map(([end, source]) => {
      const { dtype, shape } = source instanceof OrtValue ? source.tensor : source;
      return `${end} ${dtype} [${shape.join(', ')}]`;
    });
    this.#context.native.check(status, `${name} (${bound.join(', ')})`);
  }

  #copyOf(value: bigint, where: string): Tensor {
    const { native } = this.#context;
    const f = native.functions;
    const info = native.out(where, (slot) => f.GetTensorTypeAndShape(value, slot));
    try {
      const { dtype, shape } = describeTensor(native, info, where);
      const tensor = zeros(dtype, shape as number[]);
      const length = tensor.data.byteLength;
      if (sizeOf(tensor.shape) === 0) return tensor;
      const data = native.out(where, (slot) => f.GetTensorMutableData(value, slot));
      viewOf('u8', tensor.data.buffer, 0, length).set(bytesAt(data, length));
      return tensor;
    } finally {
      f.ReleaseTensorTypeAndShapeInfo(info);
    }
  }

  #busy(): CxmindError {
    return new CxmindError('RUNTIME_FAILED', `${this.#graph.name}: binding is in use by a run`);
  }

  #cancelled(signal: AbortSignal | undefined): CxmindError {
    return new CxmindError('RUNTIME_CANCELLED', `${this.#graph.name}: run cancelled`, {
      cause: signal?.reason,
    });
  }
}

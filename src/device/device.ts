/** The interface of devices and of all that they make: views, programs, recordings, profiles, workspaces. */
import type { Graph } from '../graph/ir.ts';
import type { DType, FloatDType } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * A tensor in a device's memory.
 *
 * Each kind of device has views of its own, with further fields that say where the tensor lies. So a view is of use to
 * its device alone. `reshaped` (`tensor.ts`) gives a view of the same memory under another shape.
 */
export interface View<D extends DType = DType> {
  readonly device: Device;
  readonly dtype: D;
  readonly shape: readonly number[];
}

/** Views by the names of a graph's inputs or outputs. */
export type Views = Readonly<Record<string, View>>;

/**
 * A place where tensors live and graphs run: a processor, or a card with memory of its own.
 *
 * Work is queued in the order of calls, and each piece of it sees what those before it wrote. A call may return before
 * its work is done. These wait for all work queued before: `download`, `idle`, `Operations.squaredSum`, `Profile.end`
 * and `Handles.of`. Other calls may wait too, but promise nothing.
 *
 * Not every device can do everything:
 *
 *     device     `host`   `isAddressable`   `hasKernels`   `handles`
 *     cpu        yes      yes               no             no
 *     cuda       no       yes               yes            yes
 *     webgpu     no       no                no             no
 */
export interface Device extends Disposable {
  /** Name such as `cpu`, `webgpu` or `cuda:0`. */
  readonly name: string;
  /** Dtypes that it computes in, best first. */
  readonly computeDTypes: readonly FloatDType[];
  /** Access to its tensors in place, on a device that computes in this process's memory; null on any other. */
  readonly host: HostMemory | null;
  /** True if `part` works: a view may begin inside an allocation, so that layers and shards may share one. */
  readonly isAddressable: boolean;
  /** True if it runs kernels of our own, so that graphs may have ops that ONNX lacks. */
  readonly hasKernels: boolean;
  readonly operations: Operations;
  /** Handles by which threads share allocations; null on a device without them. */
  readonly handles: Handles | null;

  /**
   * Allocates a tensor of zeros outside any workspace. The caller disposes it.
   *
   * @throws DEVICE_OUT_OF_MEMORY
   */
  allocate<D extends DType>(dtype: D, shape: readonly number[]): View<D> & Disposable;

  /** A new workspace for the tensors of passes over a model. */
  workspace(): Workspace;

  /**
   * A view of the elements of another from `start` on, under a shape of its own.
   *
   * @throws SHAPE_MISMATCH past the end; INTERNAL where the device is not addressable
   */
  part<D extends DType>(view: View<D>, start: number, shape: readonly number[]): View<D>;

  /**
   * Prepares a tensor of this process's memory for uploads at the full speed of the bus. The tensor's memory must outlast
   * the device.
   */
  pin(tensor: Tensor): void;

  /** Copies a tensor into a view of its dtype and size. The tensor may change once the call returns. */
  upload(from: Tensor, to: View): void;

  /** Copies a view to this process's memory, after all work queued before. */
  download<D extends DType>(view: View<D>): Promise<Tensor<D>>;

  /**
   * Compiles a graph.
   *
   * @throws RUNTIME_FAILED for a graph that the device cannot run
   */
  compile(graph: Graph): Program;

  /**
   * Records work, to queue it again and again at little cost.
   *
   * The work is done several times before this returns, because the first runs of a program may take memory that has to
   * be in place when work is recorded. So it must be safe to repeat.
   *
   * @param work queues programs and operations, always the same ones on the same memory. It neither uploads nor downloads
   */
  record(work: () => void): Recording;

  /** Starts to time what runs, until the profile ends; one at a time. */
  profile(): Profile;

  /**
   * Frees memory that is only kept for later work, for other threads to use. To be called between passes only: every
   * workspace is reset, so its tensors are no longer valid. Recordings keep their memory.
   */
  trim(): void;

  /** Free memory in bytes; null where the device cannot tell. */
  freeBytes(): number | null;

  /** Resolves when all queued work is done. */
  idle(): Promise<void>;
}

/** Recorded work of a device. */
export interface Recording extends Disposable {
  /** Queues all of the work. */
  run(): void;
}

/** A measurement of a device's runs. */
export interface Profile {
  /** Ends the measurement. Waits until all that was queued has run. */
  end(): Promise<TimedRun[]>;
}

/** One run of a program or a kernel. */
export interface TimedRun {
  /** Name of the graph or kernel. */
  readonly name: string;
  /**
   * Row of a timeline in which the run is drawn.
   *
   * The lane `programs` has the time that programs take on the thread. The lanes of a card, such as `cuda:0 kernels`,
   * have the time on the card.
   */
  readonly lane: string;
  /** Start, in microseconds since the epoch. */
  readonly startUs: number;
  readonly durationUs: number;
}

/** A compiled graph. */
export interface Program extends Disposable {
  readonly graph: Graph;

  /**
   * Queues one run.
   *
   * @param inputs the inputs that the graph names; others are ignored
   * @param into   memory for outputs. An output may be an input too where the graph's author knows that each of its
   *   elements is read no later than it is written, as in an elementwise graph
   * @returns every output; those that `into` does not name are taken from the workspace
   * @throws SHAPE_MISMATCH, DTYPE_MISMATCH where an input does not fit; GRAPH_INVALID where one is missing
   */
  run(inputs: Views, workspace: Workspace, into?: Views): Views;

  /** Prepares a run that is repeated. */
  bind(): BoundProgram;
}

/**
 * A run whose inputs and outputs stay bound.
 *
 * Every input must be bound before the first run. The result of an output that is not bound is lost.
 */
export interface BoundProgram extends Disposable {
  input(name: string, view: View): this;
  output(name: string, view: View): this;
  run(): void;
}

/**
 * Memory for the tensors of one pass over a model.
 *
 * They are all given back together, so that pass after pass runs in the same memory. A new tensor has arbitrary contents.
 */
export interface Workspace extends Disposable {
  /** Takes a tensor that is valid until `reset`, or until the end of the innermost scope. */
  take<D extends DType>(dtype: D, shape: readonly number[]): View<D>;
  /**
   * A host tensor where the device can read it: the tensor itself on a device that reads host memory, else a copy. The
   * caller must not change the tensor until `reset`.
   */
  put<D extends DType>(tensor: Tensor<D>): View<D>;
  /** A part of the pass. Its disposal gives back the tensors taken since it was opened. */
  scope(): Disposable;
  /** Gives every tensor back. */
  reset(): void;
  /** Bytes held, in use or not. */
  readonly sizeBytes: number;
}

/** Conversion between host tensors and views of the same memory, without copies. */
export interface HostMemory {
  view<D extends DType>(tensor: Tensor<D>): View<D>;
  tensor<D extends DType>(view: View<D>): Tensor<D>;
}

/** Conversion between views and handles, which mean the same in every thread of the process that has the device open. */
export interface Handles {
  /**
   * The handle of a view. Waits for all queued work, so that other threads see what was written.
   *
   * The allocation must outlast its use by others.
   */
  of(view: View): bigint;
  view<D extends DType>(handle: bigint, dtype: D, shape: readonly number[]): View<D>;
}

/** Operations on tensors outside the graphs of a model. Rows run along the first axis. */
export interface Operations {
  zero(target: View): void;
  copy(from: View, to: View): void;
  /** Copies rows `index[i]` of `source [R, …]` to rows `i` of `target [N, …]`. */
  gatherRows(source: View, index: View<'i32'>, target: View): void;
  /** Copies rows `i` of `source` to rows `index[i]` of `target`; no index twice. */
  placeRows(source: View, index: View<'i32'>, target: View): void;
  /** Adds rows `i` of `source` to rows `index[i]` of `target`; an index may repeat. */
  addRows(source: View, index: View<'i32'>, target: View): void;
  /** Sum of all elements' squares; not finite when any element is not. */
  squaredSum(view: View): Promise<number>;
}

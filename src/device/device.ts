import type { Graph } from '../graph/ir.ts';
import type { DType, FloatDType } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A tensor in a device's memory, where only the device knows. `reshaped` gives it another shape. */
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
 * Work is queued in the order of calls, and each piece of it sees what those before it wrote. Only `download`,
 * `Operations.squaredSum` and `idle` wait for it.
 */
export interface Device extends Disposable {
  /** Name such as `cpu`, `webgpu` or `cuda:0`. */
  readonly name: string;
  /** Dtypes that it computes in, best first. */
  readonly computeDTypes: readonly FloatDType[];
  /** This process's memory, where the device computes in it; null where the device has its own. */
  readonly host: HostMemory | null;
  /** True if a view can be a part of an allocation, so that layers and shards may share one. */
  readonly isAddressable: boolean;
  /** True if it runs kernels of our own, so that graphs may have ops that ONNX lacks. */
  readonly hasKernels: boolean;
  readonly operations: Operations;
  /** Numbers by which threads share allocations; null where they cannot. */
  readonly handles: Handles | null;

  /**
   * Allocates zeros in memory of their own, until they are disposed.
   *
   * @throws DEVICE_OUT_OF_MEMORY
   */
  allocate<D extends DType>(dtype: D, shape: readonly number[]): View<D> & Disposable;

  /** A new workspace for the tensors of passes over a model. */
  workspace(): Workspace;

  /**
   * The elements from `start` on under a shape of their own, without a copy.
   *
   * @throws SHAPE_MISMATCH past the end; INTERNAL where the device is not addressable
   */
  part<D extends DType>(view: View<D>, start: number, shape: readonly number[]): View<D>;

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
   * @param work queues programs and operations, always the same ones on the same memory. It neither uploads nor
   *   downloads. It is called a few times now, so it must be safe to repeat
   */
  record(work: () => void): Recording;

  /** Starts to time what runs, until the profile ends; one at a time. */
  profile(): Profile;

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
  /** Ends the measurement; resolves to what ran, once that is done. */
  end(): Promise<TimedRun[]>;
}

/** One run of a program or a kernel. */
export interface TimedRun {
  /** Name of the graph or kernel. */
  readonly name: string;
  /** Sequence of runs that it belongs to: `programs` are timed by the thread's clock, others by a card's. */
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
   * @param into   memory for outputs. An output may be an input too, if each of its elements is read no later than it
   *   is written
   * @returns every output; those that `into` does not name are taken from the workspace
   * @throws SHAPE_MISMATCH, DTYPE_MISMATCH where an input does not fit; GRAPH_INVALID where one is missing
   */
  run(inputs: Views, workspace: Workspace, into?: Views): Views;

  /** Prepares a run that is repeated. */
  bind(): BoundProgram;
}

/** A run whose inputs and outputs stay bound. */
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
  /** Takes a tensor that is valid until `reset`, or `release` of an earlier mark. */
  take<D extends DType>(dtype: D, shape: readonly number[]): View<D>;
  /** A host tensor where the device can read it: the tensor itself on a device that reads host memory, else a copy. */
  put<D extends DType>(tensor: Tensor<D>): View<D>;
  /** A point to `release` to. */
  mark(): WorkspaceMark;
  /** Gives back the tensors taken since the mark. */
  release(mark: WorkspaceMark): void;
  /** Gives every tensor back. */
  reset(): void;
  /** Bytes held, in use or not. */
  readonly sizeBytes: number;
}

/** A point in the use of a workspace, opaque to others. */
export type WorkspaceMark = object;

/** Conversion between tensors and views of a device that computes in this process's memory, without copies. */
export interface HostMemory {
  view<D extends DType>(tensor: Tensor<D>): View<D>;
  tensor<D extends DType>(view: View<D>): Tensor<D>;
}

/** Numbers of allocations, which mean the same to every thread that has opened the device. */
export interface Handles {
  /** The number of an allocation, once all queued writes to it are done. The allocation must outlast its use by others. */
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

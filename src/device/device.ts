import type { Graph } from '../graph/ir.ts';
import type { DType, FloatDType } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A tensor in a device's memory. What it stands on is the device's own affair. */
export interface View<D extends DType = DType> {
  readonly device: Device;
  readonly dtype: D;
  readonly shape: readonly number[];
}

/** Views by the names under which a graph takes or gives them. */
export type Views = Readonly<Record<string, View>>;

/**
 * Where tensors live and graphs run: a processor, or a card with memory of its own.
 *
 * Work is queued in the order of calls, and each piece sees what those before it wrote. Only `download`,
 * `Operations.squaredSum` and `idle` wait for it.
 */
export interface Device extends Disposable {
  /** As in `cpu`, `webgpu`, `cuda:0`. */
  readonly name: string;
  /** What it computes in, best first. */
  readonly computeDTypes: readonly FloatDType[];
  /** This process's own memory as the device's; null where the device has memory of its own. */
  readonly host: HostMemory | null;
  /** Whether a part of one allocation can be a view, so that layers and shards may share it. */
  readonly isAddressable: boolean;
  /** Whether it runs kernels of our own, for which graphs are written with ops that ONNX does not have. */
  readonly hasKernels: boolean;
  readonly operations: Operations;
  /** How threads of a process see one another's allocations; null where they see none. */
  readonly handles: Handles | null;

  /**
   * Zeros in memory of their own, until they are disposed.
   *
   * @throws DEVICE_OUT_OF_MEMORY
   */
  allocate<D extends DType>(dtype: D, shape: readonly number[]): View<D> & Disposable;

  /** New memory for the tensors of passes over a model. */
  workspace(): Workspace;

  /**
   * The same elements under another shape of equal size; no copy.
   *
   * @throws SHAPE_MISMATCH
   */
  reshape<D extends DType>(view: View<D>, shape: readonly number[]): View<D>;

  /**
   * The elements from `start` on under a shape of their own; no copy.
   *
   * @throws SHAPE_MISMATCH past the end; INTERNAL where the device is not addressable
   */
  part<D extends DType>(view: View<D>, start: number, shape: readonly number[]): View<D>;

  /** Copies a tensor into a view of its dtype and size. The tensor may change once the call is back. */
  upload(from: Tensor, to: View): void;

  /** A copy of what a view holds after all work queued before, in this process's memory. */
  download<D extends DType>(view: View<D>): Promise<Tensor<D>>;

  /** @throws RUNTIME_FAILED for a graph that it cannot run */
  compile(graph: Graph): Program;

  /**
   * Work to queue again and again at little cost.
   *
   * @param work queues programs and operations, always the same ones on the same memory, and neither uploads nor
   *   downloads. It is called a few times now, so that doing it once more must change nothing
   */
  record(work: () => void): Recording;

  /** Times what runs from now on, until its end; one at a time. */
  profile(): Profile;

  /** Bytes of memory that nobody has; null where it cannot be told. */
  freeBytes(): number | null;

  /** Resolves when all queued work is done. */
  idle(): Promise<void>;
}

/** Work of a device that was recorded. */
export interface Recording extends Disposable {
  /** Queues all of it. */
  run(): void;
}

/** What a device runs, while it is timed. */
export interface Profile {
  /** Times no more; what ran since the beginning, once that is done. */
  end(): Promise<TimedRun[]>;
}

/** A program or a kernel that ran. */
export interface TimedRun {
  /** The graph's, or the kernel's. */
  readonly name: string;
  /** Of runs that follow each other: `programs` by the clock of the thread, others by that of a card. */
  readonly lane: string;
  /** Microseconds since the epoch. */
  readonly startUs: number;
  readonly durationUs: number;
}

/** A compiled graph. */
export interface Program extends Disposable {
  readonly graph: Graph;

  /**
   * Queues one run.
   *
   * @param inputs what the graph names; others are ignored
   * @param into   outputs to write in place; one that is also an input is updated in place where each
   *   of its elements is read no later than it is written
   * @returns every output, taken from the workspace where `into` does not name it
   * @throws SHAPE_MISMATCH, DTYPE_MISMATCH where an input does not fit; GRAPH_INVALID where one is missing
   */
  run(inputs: Views, workspace: Workspace, into?: Views): Views;

  /** A run to prepare once and repeat. */
  bind(): BoundProgram;
}

/** A run whose inputs and outputs stay bound from one time to the next. */
export interface BoundProgram extends Disposable {
  input(name: string, view: View): this;
  output(name: string, view: View): this;
  run(): void;
}

/**
 * Memory for the tensors of one pass over a model, all given back together, so that pass after pass runs in
 * the same memory. A tensor's contents are whatever was there before.
 */
export interface Workspace extends Disposable {
  /** A tensor that is valid until `reset`, or `release` of an earlier mark. */
  take<D extends DType>(dtype: D, shape: readonly number[]): View<D>;
  /** A tensor of the host's where the device can read it: as it lies where it can, else a copy as of now. */
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

/** How far a workspace was used at some moment; the workspace's own affair. */
export type WorkspaceMark = object;

/** The way between tensors and views of a device that computes in this process's own memory; no copy. */
export interface HostMemory {
  view<D extends DType>(tensor: Tensor<D>): View<D>;
  tensor<D extends DType>(view: View<D>): Tensor<D>;
}

/** Allocations by numbers that mean the same to every thread of a process that has opened the device. */
export interface Handles {
  /** Of an allocation with all that was written to it so far; it has to outlast its use by others. */
  of(view: View): bigint;
  view<D extends DType>(handle: bigint, dtype: D, shape: readonly number[]): View<D>;
}

/** What happens to tensors outside the graphs of a model. Rows are those of the first axis. */
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

/**
 * The steps that a node takes on a device with kernels: CUDA C and its launches, products by the device's library,
 * copies.
 */

/** Sizes of the axes of several tensors. */
export type Shapes = readonly (readonly number[])[];

/** A kernel for one node: CUDA C for NVRTC, launched on the device's stream. */
export interface Kernel {
  /** The `extern "C" __global__` function; equal entries mean equal sources. */
  readonly entry: string;
  /** CUDA C; the compiler reads `kernelPrelude` before it. */
  readonly source: string;
  /** Geometry of one run. The kernel's arguments are pointers to inputs and outputs, then the launch's scalars. */
  readonly launch: (inputs: Shapes, outputs: Shapes) => Launch;
}

/** Threads and scalar arguments of one launch. A grid with a zero launches nothing. */
export interface Launch {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  readonly sharedBytes: number;
  readonly scalars: readonly Scalar[];
}

/** A scalar argument of a kernel: `int`, `long long` or `float`. */
export interface Scalar {
  readonly type: 'i32' | 'i64' | 'f32';
  readonly value: number;
}

/** Scalar arguments of one type. */
export function scalarsOf(type: Scalar['type'], values: readonly number[]): Scalar[] {
  return values.map((value) => ({ type, value }));
}

/** A launch of a grid of blocks, whose threads all lie along x. */
export function launchOf(
  grid: Launch['grid'],
  threads: number,
  scalars: Launch['scalars'],
  sharedBytes = 0,
): Launch {
  return { grid, block: [threads, 1, 1], sharedBytes, scalars };
}

/** A launch of one thread for each item, in blocks of `threads` threads. */
export function launchByItem(items: number, threads: number, scalars: Launch['scalars']): Launch {
  return launchOf([Math.ceil(items / threads), 1, 1], threads, scalars);
}

/** Matrix products by the device's library: output 0 is `alpha` times the product of inputs 0 and 1, plus input 2. */
export interface LibraryProduct {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
  /** The product as batches, each of which is one call. */
  readonly batches: (inputs: Shapes, outputs: Shapes) => readonly ProductBatch[];
}

/** `count` products `[m, k]` by `[k, n]` of row-major matrices; offsets and strides in elements. */
export interface ProductBatch {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly count: number;
  readonly offsets: readonly [a: number, b: number, y: number];
  readonly strides: readonly [a: number, b: number, y: number];
}

/** An output that starts as an input: a copy, unless both are the same memory. */
export interface InPlace {
  readonly input: number;
  readonly output: number;
}

/** One step of a node. Each step sees all inputs and outputs of the node. */
export type Step = Kernel | LibraryProduct | InPlace;

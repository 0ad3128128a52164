/** Sizes of the axes of several tensors. */
export type Shapes = readonly (readonly number[])[];

/** A kernel for one node: CUDA C for NVRTC, launched on the device's stream. */
export interface Kernel {
  /** The `extern "C" __global__` function; equal entries mean equal sources. */
  readonly entry: string;
  /** What `kernelPrelude` declares stands before it. */
  readonly source: string;
  /** Geometry for one run. Arguments: input pointers, output pointers, then these scalars. */
  readonly launch: (inputs: Shapes, outputs: Shapes) => Launch;
}

/** Threads and scalar arguments of one launch; with a grid of nothing there is none. */
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

/** Matrix products by the device's library: output 0 is `alpha` times the product of inputs 0 and 1, plus input 2. */
export interface LibraryProduct {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
  /** Equal products at equal strides, each group of them a call. */
  readonly batches: (inputs: Shapes, outputs: Shapes) => readonly ProductBatch[];
}

/** `count` products `[m, k]` by `[k, n]` of matrices that lie in rows; offsets and strides in elements. */
export interface ProductBatch {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly count: number;
  readonly offsets: readonly [a: number, b: number, y: number];
  readonly strides: readonly [a: number, b: number, y: number];
}

/** An output that begins as an input: a copy, where they are not the same memory. */
export interface InPlace {
  readonly input: number;
  readonly output: number;
}

/** One of the things that a node does on a device, each with all of its inputs and outputs. */
export type Step = Kernel | LibraryProduct | InPlace;

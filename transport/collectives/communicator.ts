import type { Tensor } from '../../src/tensor/tensor.ts';

/** How the elements of several ranks become one. */
export type Reduction = 'sum' | 'mean' | 'max';

/** What every rank of a split says: ranks of one colour form a group, ordered by key, then by old rank. */
export interface SplitOptions {
  /** Null for a rank that joins no group. */
  readonly color: number | null;
  readonly key?: number;
}

/**
 * A group of ranks that compute together, as in MPI: every rank calls the same operations in the same
 * order. Tensors are f32, f16, bf16, i32 or i64, of equal dtype and size on every rank, and stay the
 * caller's: an operation may read and write them until its promise resolves, not after.
 *
 * All operations reject with PEER_LOST when a rank is gone, with SHAPE_MISMATCH or DTYPE_MISMATCH
 * when ranks disagree; the group is of no use after that.
 */
export interface Communicator extends AsyncDisposable {
  readonly rank: number;
  readonly size: number;

  /** To one rank; resolves when `tensor` may be changed again. Pairs with a `receive` of the same tag. */
  send(tensor: Tensor, to: number, tag?: number): Promise<void>;
  /** Into `tensor`, from one rank, in the order of sending for each pair and tag. */
  receive(tensor: Tensor, from: number, tag?: number): Promise<void>;

  /** Resolves when every rank has called it. */
  barrier(): Promise<void>;
  /** The root's elements into everybody's `tensor`. */
  broadcast(tensor: Tensor, root: number): Promise<void>;
  /** Everybody's elements reduced, into everybody's `tensor`. */
  allReduce(tensor: Tensor, reduction: Reduction): Promise<void>;
  /** As `allReduce`, but only the root's `tensor` has the result; the others' are left as they were. */
  reduce(tensor: Tensor, root: number, reduction: Reduction): Promise<void>;
  /** Reduces `input`, `size` equal parts, and leaves part `rank` of the result in `output`. */
  reduceScatter(input: Tensor, output: Tensor, reduction: Reduction): Promise<void>;
  /** Everybody's `input`, in the order of ranks, into everybody's `output`; `input` may be its own part of `output`. */
  allGather(input: Tensor, output: Tensor): Promise<void>;
  /** As `allGather`, to the root alone; others give null for `output`. */
  gather(input: Tensor, output: Tensor | null, root: number): Promise<void>;
  /** Part `rank` of the root's `input` into `output`; others give null for `input`. */
  scatter(input: Tensor | null, output: Tensor, root: number): Promise<void>;

  /** New groups out of this one; a call every rank takes part in. */
  split(options: SplitOptions): Promise<Communicator | null>;
}

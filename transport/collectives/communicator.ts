import type { Tensor } from '../../src/tensor/tensor.ts';

/**
 * Group of ranks that compute together, as in MPI. Every rank calls the same operations in the same order.
 *
 * Tensors are f32, f16, bf16, i32 or i64, of equal dtype and size on every rank. An operation may read and write them
 * until its promise resolves, not after. All operations reject with PEER_LOST when a rank is gone, and with
 * SHAPE_MISMATCH or DTYPE_MISMATCH when ranks disagree. The group is of no use after that.
 */
export interface Communicator extends AsyncDisposable {
  readonly rank: number;
  readonly size: number;

  /** Resolves when every rank has called it. */
  barrier(): Promise<void>;
  /** Copies the root's elements into the `tensor` of all ranks. */
  broadcast(tensor: Tensor, root: number): Promise<void>;
  /**
   * Adds up the `input` of all ranks, which is `size` equal parts, and leaves part `rank` of the sum in `output`. Equal
   * inputs give equal bits.
   */
  reduceScatter(input: Tensor<'f32'>, output: Tensor<'f32'>): Promise<void>;
  /** Copies the `input` of all ranks, in their order, into the `output` of each. `input` may be its part of `output`. */
  allGather(input: Tensor, output: Tensor): Promise<void>;
  /** Copies the `input` of all ranks, in their order, into the root's `output`. Others give null for `output`. */
  gather(input: Tensor, output: Tensor | null, root: number): Promise<void>;
  /** Copies part `rank` of the root's `input` into `output`. Others give null for `input`. */
  scatter(input: Tensor | null, output: Tensor, root: number): Promise<void>;
}

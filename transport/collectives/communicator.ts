import type { Tensor } from '../../src/tensor/tensor.ts';

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

  /** Resolves when every rank has called it. */
  barrier(): Promise<void>;
  /** The root's elements into everybody's `tensor`. */
  broadcast(tensor: Tensor, root: number): Promise<void>;
  /** Adds up `input`, `size` equal parts, and leaves part `rank` of the sum in `output`; the same bits for the same inputs. */
  reduceScatter(input: Tensor<'f32'>, output: Tensor<'f32'>): Promise<void>;
  /** Everybody's `input`, in the order of ranks, into everybody's `output`; `input` may be its own part of `output`. */
  allGather(input: Tensor, output: Tensor): Promise<void>;
  /** As `allGather`, to the root alone; others give null for `output`. */
  gather(input: Tensor, output: Tensor | null, root: number): Promise<void>;
  /** Part `rank` of the root's `input` into `output`; others give null for `input`. */
  scatter(input: Tensor | null, output: Tensor, root: number): Promise<void>;
}

import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { Turns } from '../../src/turns.ts';
import { callOf, type Call } from './call.ts';
import type { Elements } from './elements.ts';

/** Algorithm that moves the bytes of a group. It is given one call at a time. */
export interface Engine {
  readonly rank: number;
  readonly size: number;
  /**
   * Compares the calls of all ranks and does the operation.
   *
   * @param input this rank's elements, null if it has none to give
   * @param output array for the result, null if this rank gets none; `input` itself for operations on one tensor
   */
  run(call: Call, input: Elements | null, output: Elements | null): Promise<void>;
  /** Leaves the group. Others who still wait for this rank get PEER_LOST. */
  close(): Promise<void>;
}

/**
 * Group of ranks that compute together, as in MPI. Every rank calls the same operations in the same order.
 *
 * Tensors are f32, f16, bf16, i32 or i64, of equal dtype and size on every rank. An operation may read and write them
 * until its promise resolves, not after. All operations reject with PEER_LOST when a rank is gone, and with
 * SHAPE_MISMATCH or DTYPE_MISMATCH when ranks disagree. The group is of no use after that.
 */
export class Communicator implements AsyncDisposable {
  readonly rank: number;
  readonly size: number;
  readonly #engine: Engine;
  readonly #turns = new Turns();
  #failure: CxmindError | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.rank = engine.rank;
    this.size = engine.size;
  }

  /** Resolves when every rank has called it. */
  barrier(): Promise<void> {
    return this.#run(callOf({ operation: 'barrier', small: null, parts: this.size }), null, null);
  }

  /** Copies the root's elements into the `tensor` of all ranks. */
  broadcast(tensor: Tensor, root: number): Promise<void> {
    const call = callOf({ operation: 'broadcast', small: tensor, parts: this.size, root });
    return this.#run(call, tensor, tensor);
  }

  /**
   * Adds up the `input` of all ranks, which is `size` equal parts, and leaves part `rank` of the sum in `output`. Equal
   * inputs give equal bits.
   */
  reduceScatter(input: Tensor<'f32'>, output: Tensor<'f32'>): Promise<void> {
    const tensors = { small: output, large: input, parts: this.size };
    return this.#run(callOf({ operation: 'reduceScatter', ...tensors }), input, output);
  }

  /** Copies the `input` of all ranks, in their order, into the `output` of each. `input` may be its part of `output`. */
  allGather(input: Tensor, output: Tensor): Promise<void> {
    const tensors = { small: input, large: output, parts: this.size };
    return this.#run(callOf({ operation: 'allGather', ...tensors }), input, output);
  }

  /** Copies the `input` of all ranks, in their order, into the root's `output`. Others give null for `output`. */
  gather(input: Tensor, output: Tensor | null, root: number): Promise<void> {
    const large = this.rank === root ? output : null;
    const tensors = { small: input, large, parts: this.size, needsLarge: this.rank === root };
    return this.#run(callOf({ operation: 'gather', ...tensors, root }), input, large);
  }

  /** Copies part `rank` of the root's `input` into `output`. Others give null for `input`. */
  scatter(input: Tensor | null, output: Tensor, root: number): Promise<void> {
    const large = this.rank === root ? input : null;
    const tensors = { small: output, large, parts: this.size, needsLarge: this.rank === root };
    return this.#run(callOf({ operation: 'scatter', ...tensors, root }), large, output);
  }

  /** Leaves the group. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#failure ??= new CxmindError('PEER_LOST', `rank ${this.rank} has left the group`);
    await this.#engine.close();
  }

  /** Runs one call after the other, and none after a failure. */
  #run(call: Call, input: Tensor | null, output: Tensor | null): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        await this.#engine.run(call, elementsOf(input), elementsOf(output));
      } catch (error) {
        this.#failure ??= asCxmindError(error);
        throw this.#failure;
      }
    });
  }
}

/** Data of a tensor whose dtype `callOf` has checked. */
function elementsOf(tensor: Tensor | null): Elements | null {
  return tensor && (tensor.data as Elements);
}

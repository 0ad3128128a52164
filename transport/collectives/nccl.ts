import { setTimeout as sleep } from 'node:timers/promises';
import { deviceAddressOf } from '../../src/device/cuda/view.ts';
import type { View } from '../../src/device/device.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { sizeOf, tensorOf, zeros } from '../../src/tensor/tensor.ts';
import { Turns } from '../../src/turns.ts';
import { disagreement, encodeCall, type Call, type Element } from './call.ts';
import type { Communicator } from './communicator.ts';
import { NCCL_ID_BYTES, type NcclLibrary, type Transfer } from './native/nccl-library.ts';

/** Pause between two looks at a card. */
const LOOK_MS = 1;

/** States of a rank's part in an operation. */
const progress = { underWay: 0, done: 1, failed: 2 } as const;

/** Queue of a card's work. */
export interface CardQueue {
  /** CUDA's handle of the queue. */
  readonly stream: bigint;
  /** True when all that is queued is done. */
  isIdle(): boolean;
}

/** The functions of NCCL that are called. */
export type Nccl = Pick<NcclLibrary, keyof NcclLibrary>;

/**
 * Collectives by NCCL between CUDA cards, one for each rank of a group.
 *
 * A card waits for ever for another one that never comes, and so does the thread that waits for the card. So the ranks
 * agree over their group on an operation before they begin it, and tell each other how far they are until all are done.
 * When a rank is lost meanwhile, or its card fails, the others hear of it there and abort.
 */
export class NcclGroup implements AsyncDisposable {
  readonly #group: Communicator;
  readonly #card: CardQueue;
  readonly #nccl: Nccl;
  readonly #turns = new Turns();
  #handle: bigint | undefined;
  #failure: CxmindError | undefined;

  private constructor(group: Communicator, card: CardQueue, nccl: Nccl) {
    this.#group = group;
    this.#card = card;
    this.#nccl = nccl;
  }

  /**
   * Joins the other ranks, and resolves when all have.
   *
   * @param card of this rank alone, which is the one that this thread uses
   * @throws PEER_LOST when another rank is gone, or its card fails
   */
  static async open(group: Communicator, card: CardQueue, nccl: Nccl): Promise<NcclGroup> {
    const opened = new NcclGroup(group, card, nccl);
    await opened.#orAbort(() => opened.#join());
    return opened;
  }

  /** Adds up `input`, an equal part for each rank, and leaves this rank's part of the sum in `output`. */
  reduceScatter(input: View<'f32'>, output: View<'f32'>): Promise<void> {
    const call = this.#callOf('reduceScatter', output, input);
    return this.#run(call, (handle) => {
      this.#nccl.reduceScatter(handle, this.#transfer(call, input, output));
    });
  }

  /** Copies the `input` of all ranks, in their order, into the `output` of each. `input` may be its part of `output`. */
  allGather(input: View, output: View): Promise<void> {
    const call = this.#callOf('allGather', input, output);
    return this.#run(call, (handle) => {
      this.#nccl.allGather(handle, this.#transfer(call, input, output));
    });
  }

  /** Ends NCCL's part. The group is left before, which ends an operation that is under way. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#turns.run(() => {
      const { rank } = this.#group;
      if (this.#failure === undefined) {
        this.#abort(new CxmindError('PEER_LOST', `rank ${rank} has left the cards of its group`));
      }
      return Promise.resolve();
    });
  }

  async #join(): Promise<void> {
    const { rank, size } = this.#group;
    const id = zeros('i32', [NCCL_ID_BYTES / Int32Array.BYTES_PER_ELEMENT]);
    const bytes = new Uint8Array(id.data.buffer);
    if (rank === 0) bytes.set(this.#nccl.uniqueId());
    await this.#group.broadcast(id, 0);
    await this.#together(
      () => (this.#handle = this.#nccl.join(bytes.slice(), rank, size)),
      (handle) => this.#nccl.isSettled(handle),
    );
  }

  #run(call: Call, begin: (handle: bigint) => void): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#orAbort(async () => {
        while (!this.#card.isIdle()) await sleep(LOOK_MS);
        const error = disagreement(await this.#tell(encodeCall(call)));
        if (error !== undefined) throw error;
        await this.#together(
          () => {
            begin(this.#handle!);
            return this.#handle!;
          },
          (handle) => this.#nccl.isSettled(handle) && this.#card.isIdle(),
        );
      });
    });
  }

  /** Begins an operation with all ranks, and resolves when all are done. */
  async #together(begin: () => bigint, isDone: (handle: bigint) => boolean): Promise<void> {
    let failure: CxmindError | undefined;
    let handle: bigint | undefined;
    const look = (): number => {
      try {
        return isDone((handle ??= begin())) ? progress.done : progress.underWay;
      } catch (thrown) {
        failure = asCxmindError(thrown);
        return progress.failed;
      }
    };
    for (;;) {
      const all = await this.#tell([look()]);
      if (failure !== undefined) throw failure;
      const failed = all.indexOf(progress.failed);
      if (failed !== -1) {
        const detail = { rank: failed };
        throw new CxmindError('PEER_LOST', `the card of rank ${failed} has failed`, { detail });
      }
      if (all.every((one) => one === progress.done)) return;
      await sleep(LOOK_MS);
    }
  }

  /** Gathers some words of each rank, in the order of ranks. */
  async #tell(words: ArrayLike<number>): Promise<Int32Array> {
    const all = zeros('i32', [this.#group.size * words.length]);
    await this.#group.allGather(tensorOf('i32', [words.length], words), all);
    return all.data;
  }

  /** Does work with the others, and aborts when it fails. */
  async #orAbort(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#abort(asCxmindError(error));
      throw this.#failure!;
    }
  }

  #abort(failure: CxmindError): void {
    this.#failure = failure;
    if (this.#handle !== undefined) this.#nccl.abort(this.#handle);
  }

  #callOf(operation: 'reduceScatter' | 'allGather', small: View, large: View): Call {
    const count = sizeOf(small.shape);
    const isTyped = small.dtype === large.dtype;
    const isSound = sizeOf(large.shape) === count * this.#group.size;
    const fault = !isTyped ? 'DTYPE_MISMATCH' : isSound ? 'none' : 'SHAPE_MISMATCH';
    return { operation, dtype: small.dtype as Element, root: -1, count, fault };
  }

  #transfer({ count, dtype }: Call, input: View, output: View): Transfer {
    const { stream } = this.#card;
    return { input: deviceAddressOf(input), output: deviceAddressOf(output), count, dtype, stream };
  }
}

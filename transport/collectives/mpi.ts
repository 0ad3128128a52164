import { CxmindError } from '../../src/errors.ts';
import { bytesPerElement } from '../../src/tensor/dtype.ts';
import { CALL_WORDS, disagreement, encodeCall, type Call, type Element } from './call.ts';
import { copy, rowOf, type Elements } from './elements.ts';
import { Communicator, type Engine } from './communicator.ts';
import { IN_PLACE, MpiLibrary } from './native/mpi-library.ts';

/**
 * Opens MPI's world: the ranks that `mpirun` or a scheduler started, or this one alone.
 *
 * There is one in a process, and MPI ends with it. Calls wait on a thread of libuv's pool. When a rank dies, MPI ends the
 * whole job.
 *
 * @param place of this rank, if it is not the one in MPI's order
 * @throws DEVICE_MISSING when there is no Open MPI library; CONFIG_INVALID when its processes are not as many as the
 *   ranks
 */
export async function openMpi(place?: {
  readonly rank: number;
  readonly size: number;
}): Promise<Communicator> {
  const library = new MpiLibrary();
  library.start();
  const world = new MpiEngine(library, library.handles.world);
  if (place === undefined) return new Communicator(world);
  if (world.size === place.size) return new Communicator(await world.inOrder(place.rank));
  // MPI wants to be ended by every process that began with it.
  await world.close();
  throw new CxmindError(
    'CONFIG_INVALID',
    `mpi: ${place.size} ranks want as many processes of MPI's, one for each, and it has ${world.size}`,
  );
}

/** Time for which a rank polls for the others itself, before another thread waits for them. */
const POLL_MS = 0.2;

/** Largest operation that runs on the calling thread once all ranks have entered it: some milliseconds. */
const SYNCHRONOUS_BYTES = 32 * 2 ** 20;

class MpiEngine implements Engine {
  readonly rank: number;
  readonly size: number;
  readonly #library: MpiLibrary;
  readonly #group: bigint;

  constructor(library: MpiLibrary, group: bigint) {
    this.#library = library;
    this.#group = group;
    const [rank, size] = [new Int32Array(1), new Int32Array(1)];
    library.call('Comm_rank', group, rank);
    library.call('Comm_size', group, size);
    this.rank = rank[0]!;
    this.size = size[0]!;
  }

  async run(call: Call, input: Elements | null, output: Elements | null): Promise<void> {
    const error = disagreement(await this.#gatherCalls(call));
    if (error !== undefined) throw error;
    await this.#do(call, input, output);
  }

  /** Replaces this engine by one of the same ranks in another order. */
  async inOrder(rank: number): Promise<MpiEngine> {
    const made = new BigUint64Array(1);
    await this.#library.wait('Comm_split', this.#group, 0, rank, made);
    return new MpiEngine(this.#library, made[0]!);
  }

  /** Ends MPI in this process, with every group. */
  close(): Promise<void> {
    return this.#library.wait('Finalize');
  }

  /**
   * Gathers the encoded calls of all ranks.
   *
   * Another thread waits for ranks that come late. Ranks in step come within moments, and two hops between threads would
   * take longer than the call itself.
   */
  async #gatherCalls(call: Call): Promise<Int32Array> {
    const calls = new Int32Array(this.size * CALL_WORDS);
    calls.set(encodeCall(call), this.rank * CALL_WORDS);
    const words = [CALL_WORDS, this.#library.handles.int32] as const;
    const [request, isDone] = [new BigUint64Array(1), new Int32Array(1)];
    const library = this.#library;
    library.call('Iallgather', IN_PLACE, ...words, calls, ...words, this.#group, request);
    const until = performance.now() + POLL_MS;
    do library.call('Test', request, isDone, null);
    while (isDone[0] === 0 && performance.now() < until);
    if (isDone[0] === 0) await library.wait('Wait', request, null);
    return calls;
  }

  /** Calls what all ranks have entered: on this thread if that takes no longer than a hop to another. */
  async #together(call: Call, ...invocation: Parameters<MpiLibrary['call']>): Promise<void> {
    if (call.count * bytesPerElement(call.dtype) <= SYNCHRONOUS_BYTES)
      this.#library.call(...invocation);
    else await this.#library.wait(...invocation);
  }

  async #do(call: Call, input: Elements | null, output: Elements | null): Promise<void> {
    const { operation, dtype, root, count } = call;
    const { sum } = this.#library.handles;
    const type = this.#typeOf(dtype);
    const group = this.#group;
    const isRoot = this.rank === root;
    switch (operation) {
      case 'barrier':
        return;
      case 'broadcast':
        return this.#together(call, 'Bcast', output, count, type, root, group);
      case 'reduceScatter':
        return this.#together(call, 'Reduce_scatter_block', input, output, count, type, sum, group);
      case 'allGather':
        copy(input!, output!, this.rank * count);
        return this.#together(call, 'Allgather', IN_PLACE, count, type, output, count, type, group);
      case 'gather': {
        if (isRoot) copy(input!, output!, this.rank * count);
        const from = isRoot ? IN_PLACE : input;
        return this.#together(call, 'Gather', from, count, type, output, count, type, root, group);
      }
      case 'scatter': {
        const into = isRoot ? IN_PLACE : output;
        await this.#together(call, 'Scatter', input, count, type, into, count, type, root, group);
        if (isRoot) copy(rowOf(input!, this.rank, count), output!, 0);
      }
    }
  }

  /** MPI's type for a dtype. MPI has no halves, which move as 16 bits. */
  #typeOf(dtype: Element): bigint {
    const { float, int16, int32, int64 } = this.#library.handles;
    return { f32: float, f16: int16, bf16: int16, i32: int32, i64: int64 }[dtype];
  }
}

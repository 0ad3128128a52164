import { CxmindError } from '../../src/errors.ts';
import { bytesPerElement } from '../../src/tensor/dtype.ts';
import { CALL_WORDS, disagreement, encodeCall, type Call, type Element } from './call.ts';
import type { Communicator } from './communicator.ts';
import { copy, slice, type Elements } from './elements.ts';
import { Group, type Engine } from './group.ts';
import { IN_PLACE, MpiLibrary } from './native/mpi-library.ts';

/**
 * The ranks that `mpirun` or a scheduler started, as MPI's world; alone where nobody did. One per process, and MPI ends
 * with it.
 *
 * Calls wait on a thread of libuv's pool. When a rank dies, MPI ends the whole job.
 *
 * @param place of this rank, where that is not MPI's to say
 * @throws DEVICE_MISSING when there is no Open MPI library; CONFIG_INVALID when its processes are not as many as the ranks
 */
export async function openMpi(place?: {
  readonly rank: number;
  readonly size: number;
}): Promise<Communicator> {
  const library = new MpiLibrary();
  library.start();
  const world = new MpiEngine(library, library.handles.world);
  if (place === undefined) return new Group(world);
  if (world.size === place.size) return new Group(await world.inOrder(place.rank));
  // MPI wants to be ended by every process that began with it.
  await world.close();
  throw new CxmindError(
    'CONFIG_INVALID',
    `mpi: ${place.size} ranks want as many processes of MPI's, one for each, and it has ${world.size}`,
  );
}

/** Whether this machine has an Open MPI library. */
export function hasMpi(): boolean {
  try {
    new MpiLibrary();
    return true;
  } catch {
    return false;
  }
}

/** How long a rank looks out for the others itself before it leaves that to another thread. */
const MOMENTS_MS = 0.2;

/** Bytes up to which an operation that all ranks have entered runs on the calling thread: some milliseconds. */
const HERE_BYTES = 32 * 2 ** 20;

class MpiEngine implements Engine {
  readonly rank: number;
  readonly size: number;
  readonly #library: MpiLibrary;
  readonly #group: bigint;
  readonly #endsMpi: boolean;

  /** @param endsMpi whether closing it ends MPI in this process, with every group */
  constructor(library: MpiLibrary, group: bigint, endsMpi = group === library.handles.world) {
    this.#library = library;
    this.#endsMpi = endsMpi;
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

  /** The same ranks in an order of their own, in place of this engine. */
  async inOrder(rank: number): Promise<MpiEngine> {
    const made = new BigUint64Array(1);
    await this.#library.wait('Comm_split', this.#group, 0, rank, made);
    return new MpiEngine(this.#library, made[0]!, this.#endsMpi);
  }

  /** Ends MPI in this process, if that is up to it; groups split off end with it. */
  async close(): Promise<void> {
    if (this.#endsMpi) await this.#library.wait('Finalize');
  }

  /**
   * The calls of all ranks, encoded. Whoever comes late is waited for on another thread; where all are there
   * within moments, as ranks in step are, two hops between threads would take longer than the call itself.
   */
  async #gatherCalls(call: Call): Promise<Int32Array> {
    const calls = new Int32Array(this.size * CALL_WORDS);
    calls.set(encodeCall(call), this.rank * CALL_WORDS);
    const words = [CALL_WORDS, this.#library.handles.int32] as const;
    const [request, isDone] = [new BigUint64Array(1), new Int32Array(1)];
    const library = this.#library;
    library.call('Iallgather', IN_PLACE, ...words, calls, ...words, this.#group, request);
    const until = performance.now() + MOMENTS_MS;
    do library.call('Test', request, isDone, null);
    while (isDone[0] === 0 && performance.now() < until);
    if (isDone[0] === 0) await library.wait('Wait', request, null);
    return calls;
  }

  /** On this thread where it takes no longer than a hop to another, once all ranks are known to be in the call. */
  async #together(call: Call, ...invocation: Parameters<MpiLibrary['call']>): Promise<void> {
    if (call.count * bytesPerElement(call.dtype) <= HERE_BYTES) this.#library.call(...invocation);
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
        const own = this.rank * count;
        if (isRoot) copy(slice(input!, own, own + count), output!, 0);
      }
    }
  }

  /** MPI has no halves: they move as 16 bits. */
  #typeOf(dtype: Element): bigint {
    const { float, int16, int32, int64 } = this.#library.handles;
    return { f32: float, f16: int16, bf16: int16, i32: int32, i64: int64 }[dtype];
  }
}

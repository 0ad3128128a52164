/** Worker threads of actors, from the side that starts them. `thread-entry.ts` is their program. */
import { Worker } from 'node:worker_threads';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { SharedMemory } from '../../src/tensor/memory.ts';
import { defaultSlabBytes, type PayloadHeap } from '../../transport/shared/heap.ts';
import { slabMemory } from '../../transport/shared/slab.ts';
import { threadPair, type ThreadEnd } from '../../transport/thread/channel.ts';
import { entryModule, type FactoryAddress } from './actor-module.ts';
import { IncarnationChannels, type Incarnation, type IncarnationStart } from './incarnation.ts';

/**
 * Limit of the part of a thread's JavaScript heap that is for new objects, in MiB.
 *
 * V8 makes this part larger, up to 96 MiB, the more objects outlive a collection, and smaller again only where the thread
 * is idle for seconds: a run on a machine that does nothing else would hold the most. What a run computes with lies
 * outside these heaps. (Measured: with seven threads 60 MiB less, in the same time.)
 */
const YOUNG_HEAP_MB = 12;

/** Data that a thread is given when it starts. */
export interface ThreadOpening {
  readonly end: ThreadEnd;
  /** Memory for the thread's payloads. The previous thread that had it has exited. */
  readonly slab: SharedMemory;
}

/** Data that a thread is given for each incarnation. */
export interface ThreadStart extends IncarnationStart, FactoryAddress {
  readonly name: string;
  /** Name of the thread's node; undefined in the system's own process. */
  readonly node: string | undefined;
  readonly devices: readonly string[];
  readonly props: unknown;
}

/** A thread that runs, or ran. */
interface Running {
  readonly worker: Worker;
  readonly channels: IncarnationChannels;
  /** Resolves with the reason once the thread has exited and all that it sent was delivered. */
  readonly ended: Promise<CxmindError>;
}

/**
 * The worker thread of an actor.
 *
 * An incarnation that crashes may leave its thread running. The next one then runs there too, with modules loaded and
 * memory mapped. If the thread has ended, another is started.
 */
export class ActorThread {
  readonly #name: string;
  readonly #heap: PayloadHeap;
  readonly #heapLimitMb: number | undefined;
  readonly #slab = slabMemory(defaultSlabBytes);
  #running: Running | undefined;
  #heapBytes: number | null = null;
  #isAsking = false;

  /**
   * @param heap        payloads of the calling thread
   * @param heapLimitMb limit of the thread's JavaScript heap
   */
  constructor(name: string, heap: PayloadHeap, heapLimitMb: number | undefined) {
    this.#name = name;
    this.#heap = heap;
    this.#heapLimitMb = heapLimitMb;
  }

  /**
   * Begins an incarnation, after the end of the one before.
   *
   * @throws DataCloneError for props that are not plain data
   */
  begin(start: ThreadStart): Incarnation {
    if (this.#running?.channels.isOpen !== true) this.#running = this.#open();
    const running = this.#running;
    // The thread takes this message when it comes to the beginning of the incarnation in its channel.
    running.worker.postMessage(start);
    const channel = running.channels.begin();
    let isOver = false;
    const ended = channel.closed.then(() => {
      isOver = true;
      if (!running.channels.isOpen) return running.ended;
      return new CxmindError('ACTOR_CRASHED', `${start.name} ended, and its thread did not`);
    });
    const terminate = (): void => {
      // After its end the thread may already run the next incarnation.
      if (!isOver) void running.worker.terminate();
    };
    return { channel, urgent: channel, ended, terminate };
  }

  /** Bytes of the thread's JavaScript heap when it last said so, and asks it anew; null before its first answer. */
  heapBytes(): number | null {
    void this.#askForHeap();
    return this.#heapBytes;
  }

  async #askForHeap(): Promise<void> {
    if (this.#running === undefined || this.#isAsking) return;
    this.#isAsking = true;
    // A thread that has ended does not say.
    const statistics = await this.#running.worker.getHeapStatistics().catch(() => null);
    this.#heapBytes = statistics?.used_heap_size ?? null;
    this.#isAsking = false;
  }

  /** Ends the thread, since no incarnation follows. */
  async release(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    void running.worker.terminate();
    await running.ended;
  }

  #open(): Running {
    const [channel, end] = threadPair(this.#heap);
    const opening: ThreadOpening = { end, slab: this.#slab };
    const worker = new Worker(entryModule('thread-entry'), {
      name: this.#name,
      workerData: opening,
      transferList: [end.port],
      resourceLimits: {
        maxYoungGenerationSizeMb: YOUNG_HEAP_MB,
        ...(this.#heapLimitMb !== undefined && { maxOldGenerationSizeMb: this.#heapLimitMb }),
      },
    });
    let uncaught: CxmindError | undefined;
    worker.on('error', (error) => {
      uncaught = asCxmindError(error);
    });
    const exited = new Promise<number>((resolve) => worker.once('exit', resolve));
    const ended = Promise.all([exited, channel.closed]).then(([code]) => {
      channel.reclaim();
      return uncaught ?? new CxmindError('ACTOR_CRASHED', `thread exited with code ${code}`);
    });
    return { worker, ended, channels: new IncarnationChannels(channel) };
  }
}

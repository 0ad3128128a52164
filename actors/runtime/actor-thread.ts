import { Worker } from 'node:worker_threads';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { SharedMemory } from '../../src/tensor/memory.ts';
import { defaultSlabBytes, type PayloadHeap } from '../../transport/shared/heap.ts';
import { slabMemory } from '../../transport/shared/slab.ts';
import { threadPair, type ThreadEnd } from '../../transport/thread/channel.ts';
import type { FactoryAddress } from './factory.ts';
import type { Incarnation, IncarnationStart } from './incarnation.ts';
import { IncarnationChannels } from './incarnation-channels.ts';
import { entryModule } from './module-address.ts';

/** What a thread is given at its start. */
export interface ThreadOpening {
  readonly end: ThreadEnd;
  /** Of its payloads; another thread that had it before is gone. */
  readonly slab: SharedMemory;
}

/** What a thread is given for each life. */
export interface ThreadStart extends IncarnationStart, FactoryAddress {
  readonly name: string;
  /** Name of the node that the thread is of; undefined in the system's own process. */
  readonly node: string | undefined;
  readonly devices: readonly string[];
  readonly props: unknown;
}

/** A thread that runs, or ran. */
interface Running {
  readonly worker: Worker;
  readonly lives: IncarnationChannels;
  /** Resolves with the reason once it has exited, and all that it sent was delivered. */
  readonly ended: Promise<CxmindError>;
}

/**
 * The thread that an actor lives on. A life that crashes and leaves its thread running is followed by the next one
 * there, with modules loaded and memory mapped; for a thread that has ended, another is started.
 */
export class ActorThread {
  readonly #name: string;
  readonly #heap: PayloadHeap;
  readonly #heapLimitMb: number | undefined;
  readonly #slab = slabMemory(defaultSlabBytes);
  #running: Running | undefined;

  /**
   * @param heap        the payloads of the thread that calls
   * @param heapLimitMb limit of the thread's JavaScript heap
   */
  constructor(name: string, heap: PayloadHeap, heapLimitMb: number | undefined) {
    this.#name = name;
    this.#heap = heap;
    this.#heapLimitMb = heapLimitMb;
  }

  /**
   * Begins a life, after the end of the one before.
   *
   * @throws DataCloneError for props that are not plain data
   */
  begin(start: ThreadStart): Incarnation {
    if (this.#running?.lives.isOpen !== true) this.#running = this.#open();
    const running = this.#running;
    // taken by the thread when it comes to the beginning of the life in its channel
    running.worker.postMessage(start);
    const channel = running.lives.begin();
    let isOver = false;
    const ended = channel.closed.then(() => {
      isOver = true;
      return running.lives.isOpen ? this.#survived() : running.ended;
    });
    const terminate = (): void => {
      if (!isOver) void running.worker.terminate();
    };
    return { channel, urgent: channel, ended, terminate };
  }

  /** Ends the thread: there is no further life. */
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
      ...(this.#heapLimitMb === undefined
        ? {}
        : { resourceLimits: { maxOldGenerationSizeMb: this.#heapLimitMb } }),
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
    return { worker, ended, lives: new IncarnationChannels(channel) };
  }

  #survived(): CxmindError {
    return new CxmindError('ACTOR_CRASHED', `${this.#name} ended, and its thread did not`);
  }
}

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { collectShared } from '../../../../src/tensor/memory.ts';
import { zeros, type Tensor } from '../../../../src/tensor/tensor.ts';
import type { Communicator } from '../../../../transport/collectives/communicator.ts';
import { joinThreadGroup, threadGroup } from '../../../../transport/collectives/threads.ts';
import { communicatorConformance, type Ranks } from '../../../conformance/communicator.ts';
import type { RankReply } from '../../../support/rank-agent.ts';
import type { ThreadRequest } from '../../../support/rank-thread.ts';

/** Threads that form one group after the other. */
class RankThreads implements AsyncDisposable {
  readonly #workers: Worker[] = [];
  readonly #pending = new Map<number, (reply: RankReply) => void>();
  /** Number of groups that each has joined. */
  readonly #joined: number[] = [];

  open(size: number): Promise<Ranks> {
    const handle = threadGroup(size);
    const groups = Array.from({ length: size }, (_, rank) => this.#join(rank, { handle }));
    return Promise.resolve({
      ask: (rank, request) => {
        const id = this.#pending.size;
        this.#tell(rank, { ...request, id, group: groups[rank]! });
        return new Promise((resolve) => this.#pending.set(id, resolve));
      },
      kill: async (rank) => {
        await this.#workers[rank]!.terminate();
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  /** The number of the group at that rank. */
  #join(rank: number, request: ThreadRequest): number {
    this.#workers[rank] ??= this.#start(rank);
    this.#tell(rank, request);
    const group = this.#joined[rank] ?? 0;
    this.#joined[rank] = group + 1;
    return group;
  }

  #start(rank: number): Worker {
    const entry = new URL('../../../support/rank-thread.ts', import.meta.url);
    const worker = new Worker(entry, { workerData: rank });
    worker.on('message', (reply: RankReply) => this.#pending.get(reply.id)!(reply));
    return worker;
  }

  #tell(rank: number, request: ThreadRequest): void {
    this.#workers[rank]!.postMessage(request);
  }
}

describe('a group of threads', () => {
  const threads = new RankThreads();
  after(() => threads[Symbol.asyncDispose]());

  communicatorConformance('threads', {
    open: (size) => threads.open(size),
    sizes: [1, 2, 3, 5],
    survivesLoss: true,
    large: 600_000,
  });
});

describe('tensors that threads lend each other', () => {
  /** Enough elements to be lent rather than copied. */
  const count = 10_000;
  /** Elements `first`, `first + 1`, and on. */
  const rising = (first: number, length = count): Tensor<'f32'> => {
    const tensor = zeros('f32', [length]);
    tensor.data.forEach((_, i) => (tensor.data[i] = first + i));
    return tensor;
  };
  const sums = (first: number, factor: number, from = 0): number[] =>
    Array.from({ length: count }, (_, i) => first + factor * (from + i));
  const pair = async (work: (a: Communicator, b: Communicator) => Promise<void>): Promise<void> => {
    const handle = threadGroup(2);
    await using a = joinThreadGroup(handle, 0);
    await using b = joinThreadGroup(handle, 1);
    await work(a, b);
  };

  it('are read with what is in them by then, each time', async () => {
    await pair(async (a, b) => {
      const [x, y] = [rising(0, 2 * count), rising(5, 2 * count)];
      const [front, back] = [zeros('f32', [count]), zeros('f32', [count])];
      for (const factor of [2, 4, 8]) {
        await Promise.all([a.reduceScatter(x, front), b.reduceScatter(y, back)]);
        const first = (5 * factor) / 2;
        assert.deepEqual([...front.data], sums(first, factor));
        assert.deepEqual([...back.data], sums(first, factor, count));
        for (const { data } of [x, y]) data.forEach((value, i) => (data[i] = 2 * value));
      }
    });
  });

  it('may stand beside one on memory that cannot be lent', async () => {
    await pair(async (a, b) => {
      const [x, plain] = [rising(1, 2 * count), rising(2, 2 * count)];
      const notLent = { ...plain, data: new Float32Array(plain.data) };
      const [front, back] = [zeros('f32', [count]), zeros('f32', [count])];
      await Promise.all([a.reduceScatter(x, front), b.reduceScatter(notLent, back)]);
      assert.deepEqual([...front.data], sums(3, 2));
      assert.deepEqual([...back.data], sums(3, 2, count));
    });
  });

  it('are not overwritten while others read them, where an output lies in its input', async () => {
    await pair(async (a, b) => {
      const [x, y] = [rising(0, 2 * count), rising(0, 2 * count)];
      const inOthersPart = { ...zeros('f32', [count]), data: x.data.subarray(count) };
      const own = zeros('f32', [count]);
      await Promise.all([a.reduceScatter(x, inOthersPart), b.reduceScatter(y, own)]);
      assert.deepEqual([...inOthersPart.data], sums(0, 2));
      assert.deepEqual([...own.data], sums(0, 2, count));
    });
  });

  it('are let go of when their owner drops them', async () => {
    await pair(async (a, b) => {
      const [front, back] = [zeros('f32', [2 ** 20]), zeros('f32', [2 ** 20])];
      const before = process.memoryUsage.rss();
      const lend = async (): Promise<void> => {
        const [x, y] = [zeros('f32', [2 ** 21]), zeros('f32', [2 ** 21])];
        x.data.fill(1);
        y.data.fill(1);
        await Promise.all([a.reduceScatter(x, front), b.reduceScatter(y, back)]);
      };
      for (let round = 0; round < 20; round++) {
        await lend();
        collectShared();
        await turn();
        await turn();
      }
      const grownMiB = (process.memoryUsage.rss() - before) / 2 ** 20;
      assert.ok(grownMiB < 240, `${grownMiB} MiB more for 320 MiB of tensors dropped`);
    });
  });
});

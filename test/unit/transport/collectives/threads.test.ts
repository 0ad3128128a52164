import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { collectShared } from '../../../../src/tensor/memory.ts';
import { zeros, type Tensor } from '../../../../src/tensor/tensor.ts';
import type { Communicator } from '../../../../transport/collectives/communicator.ts';
import { joinThreadGroup, threadGroup } from '../../../../transport/collectives/threads.ts';
import { communicatorConformance, type Ranks } from '../../../conformance/communicator.ts';
import type { RankReply } from '../../../support/rank-agent.ts';

communicatorConformance('threads', {
  start() {
    const threads: Worker[] = [];
    return {
      open: (size) => Promise.resolve(threadRanks(size, threads)),
      async [Symbol.asyncDispose]() {
        await Promise.all(threads.map((thread) => thread.terminate()));
      },
    };
  },
  survivesLoss: true,
  large: 600_003,
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
      const [x, y] = [rising(0), rising(5)];
      for (const [first, factor] of [
        [5, 2],
        [10, 4],
        [20, 8],
      ] as const) {
        await Promise.all([a.allReduce(x, 'sum'), b.allReduce(y, 'sum')]);
        assert.deepEqual([...x.data], sums(first, factor));
        assert.deepEqual([...y.data], sums(first, factor));
      }
    });
  });

  it('may stand beside one on memory that cannot be lent', async () => {
    await pair(async (a, b) => {
      const [x, plain] = [rising(1), { ...rising(2), data: new Float32Array(rising(2).data) }];
      await Promise.all([a.allReduce(x, 'sum'), b.allReduce(plain, 'sum')]);
      assert.deepEqual([...x.data], sums(3, 2));
      assert.deepEqual([...plain.data], sums(3, 2));
    });
  });

  it('are not overwritten while others read them, where an output lies in its input', async () => {
    await pair(async (a, b) => {
      const [x, y] = [rising(0, 2 * count), rising(0, 2 * count)];
      const inOthersPart = { ...zeros('f32', [count]), data: x.data.subarray(count) };
      const own = zeros('f32', [count]);
      await Promise.all([a.reduceScatter(x, inOthersPart, 'sum'), b.reduceScatter(y, own, 'sum')]);
      assert.deepEqual([...inOthersPart.data], sums(0, 2));
      assert.deepEqual([...own.data], sums(0, 2, count));
    });
  });

  it('are let go of when their owner drops them', async () => {
    await pair(async (a, b) => {
      const before = process.memoryUsage.rss();
      const lend = async (): Promise<void> => {
        const [x, y] = [zeros('f32', [2 ** 21]), zeros('f32', [2 ** 21])];
        x.data.fill(1);
        y.data.fill(1);
        await Promise.all([a.allReduce(x, 'sum'), b.allReduce(y, 'sum')]);
      };
      for (let round = 0; round < 30; round++) {
        await lend();
        collectShared();
        await turn();
        await turn();
      }
      const grownMiB = (process.memoryUsage.rss() - before) / 2 ** 20;
      assert.ok(grownMiB < 240, `${grownMiB} MiB more for 480 MiB of tensors dropped`);
    });
  });
});

/** @param started keeps the threads, for who ends them */
function threadRanks(size: number, started: Worker[]): Ranks {
  const handle = threadGroup(size);
  const entry = new URL('../../../support/rank-thread.ts', import.meta.url);
  const workers = Array.from(
    { length: size },
    (_, rank) => new Worker(entry, { workerData: { handle, rank } }),
  );
  started.push(...workers);
  const pending = new Map<number, (reply: RankReply) => void>();
  for (const worker of workers) {
    worker.on('message', (reply: RankReply) => pending.get(reply.id)!(reply));
  }
  return {
    ask(rank, request) {
      const id = pending.size;
      workers[rank]!.postMessage({ ...request, id });
      return new Promise((resolve) => pending.set(id, resolve));
    },
    async kill(rank) {
      await workers[rank]!.terminate();
    },
  };
}

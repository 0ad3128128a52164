import { Worker } from 'node:worker_threads';
import { threadGroup } from '../../../../transport/collectives/threads.ts';
import { communicatorConformance, type Ranks } from '../../../conformance/communicator.ts';
import type { RankReply } from '../../../support/rank-agent.ts';

communicatorConformance('threads', {
  open: (size) => Promise.resolve(threadRanks(size)),
  survivesLoss: true,
  large: 1_700_003,
});

function threadRanks(size: number): Ranks {
  const handle = threadGroup(size);
  const entry = new URL('../../../support/rank-thread.ts', import.meta.url);
  const workers = Array.from(
    { length: size },
    (_, rank) => new Worker(entry, { workerData: { handle, rank } }),
  );
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
    async end() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/**
 * One group that all-reduces f32 tensors in place as training does, in two halves, a reduce-scatter and an all-gather:
 * `all-reduce.ts KIND RANKS SIZES` prints the median milliseconds of each size in MiB as JSON. A round takes as long
 * as its slowest rank.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { tensorOf, zeros } from '../../../src/tensor/tensor.ts';
import type { Communicator } from '../../../transport/collectives/communicator.ts';
import { openMpi } from '../../../transport/collectives/mpi.ts';
import { RankListener, type RankAddress } from '../../../transport/collectives/open.ts';
import {
  joinThreadGroup,
  threadGroup,
  type ThreadGroupHandle,
} from '../../../transport/collectives/threads.ts';
import { makeRunKeys, type RunKeys } from '../../../transport/zmq/keys.ts';

const WARMUPS = 2;
const ROUNDS = 7;

const [kind = '', rankCount = '1', sizesText = '64'] = process.argv.slice(2);
const sizes = sizesText.split(',').map(Number);

async function measure(group: Communicator): Promise<void> {
  await using communicator = group;
  const { rank, size } = communicator;
  const medians: Record<string, number> = {};
  for (const sizeMiB of sizes) {
    const length = (sizeMiB * 2 ** 18) / size;
    const whole = zeros('f32', [size * length]);
    const sum = zeros('f32', [length]);
    const own = { ...sum, data: whole.data.subarray(rank * length, (rank + 1) * length) };
    const times: number[] = [];
    for (let round = 0; round < WARMUPS + ROUNDS; round++) {
      whole.data.fill(1e-3);
      await communicator.barrier();
      const start = performance.now();
      await communicator.reduceScatter(whole, sum);
      own.data.set(sum.data);
      await communicator.allGather(own, whole);
      const slowest = await slowestOf(communicator, performance.now() - start);
      if (round >= WARMUPS) times.push(slowest);
    }
    if (whole.data.some((value) => Math.abs(value - 1e-3 * size) > 1e-6))
      throw new Error('wrong sum');
    medians[String(sizeMiB)] = times.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
  }
  if (rank === 0) process.stdout.write(`${JSON.stringify(medians)}\n`);
  await communicator.barrier();
}

async function slowestOf(communicator: Communicator, ms: number): Promise<number> {
  const all = zeros('f32', [communicator.size]);
  await communicator.allGather(tensorOf('f32', [1], [ms]), all);
  return Math.max(...all.data);
}

/** One rank of several processes, which tell each other through the one that started them how they are reached. */
async function measureSeated(): Promise<void> {
  const [{ rank, keys }] = (await once(process, 'message')) as [{ rank: number; keys: RunKeys }];
  const listener = await RankListener.open({ address: 'tcp://127.0.0.1:*', keys });
  process.send!(listener.address);
  const [addresses] = (await once(process, 'message')) as [RankAddress[]];
  await measure(await listener.join(rank, addresses));
  process.disconnect();
}

/** @param hostOf which host a rank is to say that it is on, given its address */
async function startProcesses(
  hostOf: (address: RankAddress, rank: number) => string,
): Promise<void> {
  const keys = makeRunKeys();
  const children = ranks.map(() =>
    fork(import.meta.filename, ['seated', ...process.argv.slice(3)]),
  );
  const ended = children.map((child) => once(child, 'exit'));
  const addresses = await Promise.all(
    children.map(async (child, rank) => {
      child.send({ rank, keys });
      const [address] = (await once(child, 'message')) as [RankAddress];
      return { ...address, host: hostOf(address, rank) };
    }),
  );
  for (const child of children) child.send(addresses);
  await Promise.all(ended);
}

/** Place of a thread in its group. */
interface Seat {
  readonly group: ThreadGroupHandle;
  readonly rank: number;
}

async function startThreads(): Promise<void> {
  const group = threadGroup(ranks.length);
  const threads = ranks.map((rank) => {
    const options = { workerData: { group, rank } satisfies Seat, argv: process.argv.slice(2) };
    return once(new Worker(import.meta.filename, options), 'exit');
  });
  await Promise.all(threads);
}

const ranks = Array.from({ length: Number(rankCount) }, (_, rank) => rank);
if (!isMainThread) {
  const { group, rank } = workerData as Seat;
  await measure(joinThreadGroup(group, rank));
} else if (kind === 'seated') await measureSeated();
else if (kind === 'threads') await startThreads();
else if (kind === 'mpi') await measure(await openMpi());
else if (kind === 'hosts') await startProcesses((_, rank) => (2 * rank < ranks.length ? 'a' : 'b'));
else await startProcesses(({ host }) => host);

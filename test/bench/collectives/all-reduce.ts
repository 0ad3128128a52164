/**
 * One group that all-reduces f32 tensors in place, `all-reduce.ts KIND RANKS SIZES`: prints the median
 * milliseconds of each size in MiB as JSON. A round takes as long as its slowest rank.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { tensorOf, zeros } from '../../../src/tensor/tensor.ts';
import type { Communicator } from '../../../transport/collectives/communicator.ts';
import {
  hostGroup,
  joinHostGroup,
  type HostGroupHandle,
} from '../../../transport/collectives/host.ts';
import { openCommunicator } from '../../../transport/collectives/open.ts';
import {
  joinThreadGroup,
  threadGroup,
  type ThreadGroupHandle,
} from '../../../transport/collectives/threads.ts';

const WARMUPS = 2;
const ROUNDS = 7;

/** How a started rank finds the others. */
type Seat =
  | { readonly kind: 'threads'; readonly handle: ThreadGroupHandle; readonly rank: number }
  | { readonly kind: 'processes'; readonly handle: HostGroupHandle; readonly rank: number };

const [kind = '', rankCount = '1', sizesText = '64', seatText] = process.argv.slice(2);
const sizes = sizesText.split(',').map(Number);

async function measure(communicator: Communicator): Promise<void> {
  const medians: Record<string, number> = {};
  for (const size of sizes) {
    const tensor = zeros('f32', [size * 2 ** 18]);
    const times: number[] = [];
    for (let round = 0; round < WARMUPS + ROUNDS; round++) {
      tensor.data.fill(1e-3);
      await communicator.barrier();
      const start = performance.now();
      await communicator.allReduce(tensor, 'sum');
      const slowest = tensorOf('f32', [1], [performance.now() - start]);
      await communicator.allReduce(slowest, 'max');
      if (round >= WARMUPS) times.push(slowest.data[0]!);
    }
    if (Math.abs(tensor.data.at(-1)! - 1e-3 * communicator.size) > 1e-6)
      throw new Error('wrong sum');
    medians[String(size)] = times.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
  }
  if (communicator.rank === 0) process.stdout.write(`${JSON.stringify(medians)}\n`);
  await communicator.barrier();
}

async function join(seat: Seat): Promise<void> {
  await using communicator =
    seat.kind === 'threads'
      ? joinThreadGroup(seat.handle, seat.rank)
      : joinHostGroup(seat.handle, seat.rank);
  await measure(communicator);
}

async function start(): Promise<void> {
  const ranks = Array.from({ length: Number(rankCount) }, (_, rank) => rank);
  if (kind === 'mpi') {
    await using communicator = await openCommunicator({ kind: 'mpi' });
    await measure(communicator);
  } else if (kind === 'threads') {
    const handle = threadGroup(ranks.length);
    const threads = ranks.map((rank) => {
      const seat: Seat = { kind, handle, rank };
      return once(
        new Worker(import.meta.filename, { workerData: seat, argv: process.argv.slice(2) }),
        'exit',
      );
    });
    await Promise.all(threads);
  } else {
    const handle = hostGroup(ranks.length);
    const children = ranks.map((rank) => {
      const seat = JSON.stringify({ kind: 'processes', handle, rank });
      return once(fork(import.meta.filename, [...process.argv.slice(2), seat]), 'exit');
    });
    await Promise.all(children);
  }
}

if (!isMainThread) await join(workerData as Seat);
else if (seatText !== undefined) await join(JSON.parse(seatText) as Seat);
else await start();

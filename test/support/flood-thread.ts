import { workerData } from 'node:worker_threads';
import type { Packet } from '../../transport/channel.ts';
import { PayloadHeap } from '../../transport/shared/heap.ts';
import { ThreadChannel, type ThreadEnd } from '../../transport/thread/channel.ts';

/** Parameters of a flood of packets; both ends compute the same packets. */
export interface Flood {
  readonly count: number;
  /** Added to each byte, so that floods differ. */
  readonly salt: number;
  /** Lengths of headers, gone through in a circle. */
  readonly lengths: readonly number[];
  /** Every so many packets one has a frame; 0 for none. */
  readonly framesEvery: number;
}

/** Packet `i` of a flood: its bytes name it. */
export function packetOfFlood({ salt, lengths, framesEvery }: Flood, i: number): Packet {
  const header = new Uint8Array(lengths[i % lengths.length]!).fill((i + salt) & 255);
  const hasFrame = framesEvery > 0 && i % framesEvery === 0;
  const frames = hasFrame ? [new Uint8Array(new SharedArrayBuffer(8)).fill((i ^ salt) & 255)] : [];
  return { header, frames };
}

const { end, flood } = (workerData ?? {}) as { end?: ThreadEnd; flood?: Flood };
if (end !== undefined && flood !== undefined) {
  const channel = new ThreadChannel(end, new PayloadHeap());
  for (let i = 0; i < flood.count; i++) channel.send(packetOfFlood(flood, i));
  channel.close();
}

import { isMainThread, workerData } from 'node:worker_threads';
import { PayloadHeap } from '../../transport/shared/heap.ts';
import { ThreadChannel, type ThreadEnd } from '../../transport/thread/channel.ts';

/** Data of the thread. */
export interface HolderStart {
  readonly end: ThreadEnd;
  readonly slab: SharedArrayBuffer;
}

/** Requests to the thread, by the first byte of a header. */
export const holderDoes = { keep: 0, sendBack: 1, sendOwn: 2, exit: 3 } as const;

function hold({ end, slab }: HolderStart): void {
  const heap = new PayloadHeap(slab, 1 << 20);
  const channel = new ThreadChannel(end, heap);
  const kept: Uint8Array[] = [];
  channel.receive(({ header, frames }) => {
    if (header[0] === holderDoes.keep) {
      kept.push(...frames);
      channel.send({ header, frames: [] });
    } else if (header[0] === holderDoes.sendBack) {
      channel.send({ header, frames });
    } else if (header[0] === holderDoes.sendOwn) {
      const own = heap.share(new Uint8Array(3000).fill(header[1]!));
      kept.push(own);
      channel.send({ header, frames: [own] });
    } else {
      process.exit(3);
    }
  });
}

if (!isMainThread) hold(workerData as HolderStart);

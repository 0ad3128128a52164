import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { sameThreadPair } from '../../../transport/same-thread.ts';
import { PayloadHeap } from '../../../transport/shared/heap.ts';
import { ThreadChannel, threadPair } from '../../../transport/thread/channel.ts';
import { channelConformance, echo } from '../../conformance/channel.ts';

channelConformance('same thread', {
  open() {
    const [channel, far] = sameThreadPair();
    echo(far);
    return { channel, end: () => far.closed };
  },
});

channelConformance('two ends on one thread over rings', {
  open() {
    const [channel, farEnd] = threadPair(new PayloadHeap());
    const far = new ThreadChannel(farEnd, new PayloadHeap());
    echo(far);
    return { channel, end: () => far.closed };
  },
});

channelConformance('worker thread', {
  open() {
    const [channel, farEnd] = threadPair(new PayloadHeap());
    const worker = new Worker(new URL('../../support/echo-thread.ts', import.meta.url), {
      workerData: farEnd,
      transferList: [farEnd.port],
    });
    const exit = once(worker, 'exit');
    return { channel, end: () => exit.then(() => undefined) };
  },
});

import { workerData } from 'node:worker_threads';
import { PayloadHeap } from '../../transport/shared/heap.ts';
import { ThreadChannel, type ThreadEnd } from '../../transport/thread/channel.ts';
import { echo } from '../conformance/channel.ts';

echo(new ThreadChannel(workerData as ThreadEnd, new PayloadHeap()));

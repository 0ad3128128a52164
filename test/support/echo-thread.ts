import { workerData, type MessagePort } from 'node:worker_threads';
import { ThreadChannel } from '../../transport/thread/channel.ts';
import { echo } from '../conformance/channel.ts';

echo(new ThreadChannel(workerData as MessagePort));

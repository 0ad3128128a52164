import { parentPort, workerData } from 'node:worker_threads';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import { joinThreadGroup, type ThreadGroupHandle } from '../../transport/collectives/threads.ts';
import { doAsAsked, type RankRequest } from './rank-agent.ts';

/** Joins a group, or does something in one that it has joined, by its number. */
export type ThreadRequest =
  | { readonly handle: ThreadGroupHandle }
  | (RankRequest & { readonly group: number });

const rank = workerData as number;
const port = parentPort!;
const groups: Communicator[] = [];
port.on('message', (request: ThreadRequest) => {
  if ('handle' in request) groups.push(joinThreadGroup(request.handle, rank));
  else void doAsAsked(groups[request.group]!, request).then((reply) => port.postMessage(reply));
});

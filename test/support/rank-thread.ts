import { parentPort, workerData } from 'node:worker_threads';
import { joinThreadGroup, type ThreadGroupHandle } from '../../transport/collectives/threads.ts';
import { RankAgent, type RankRequest } from './rank-agent.ts';

const { handle, rank } = workerData as { handle: ThreadGroupHandle; rank: number };
const port = parentPort!;
const agent = new RankAgent(joinThreadGroup(handle, rank), (reply) => port.postMessage(reply));
port.on('message', (request: RankRequest) => void agent.handle(request));

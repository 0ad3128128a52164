import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromWireError } from '../../src/errors.ts';
import type { Ranks } from '../conformance/communicator.ts';
import type { RankReply } from './rank-agent.ts';
import type { RankJoin } from './rank-process.ts';
import { onValues, sendValue } from './socket-frames.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

/** The program of a rank; takes the path of the test's socket, and its rank where nobody else says it. */
export const rankProgram = fileURLToPath(new URL('rank-process.ts', import.meta.url));

/** What to tell a rank next, given what all replied to the step before. */
export type JoinStep = (rank: number, replies: readonly RankReply[]) => RankJoin;

/**
 * Ranks in processes of their own, which talk to the test over a socket.
 *
 * @param steps what to tell a rank, so that it finds the others; each step is given the replies to the last
 * @param start starts the processes, by default one after the other as children
 */
export async function processRanks(
  size: number,
  steps: readonly JoinStep[],
  start: (socketPath: string) => ChildProcess[] = (path) => startEach(size, path),
): Promise<Ranks> {
  using directory = new TemporaryDirectory();
  const path = join(directory.path, 'ranks');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const sockets: Socket[] = [];
  const pending = new Map<number, (reply: RankReply) => void>();
  const connected = new Promise<void>((resolve) => {
    server.on('connection', (socket) => {
      socket.on('error', () => undefined);
      let isKnown = false;
      onValues(socket, (value) => {
        if (isKnown) {
          pending.get((value as RankReply).id)!(value as RankReply);
          return;
        }
        isKnown = true;
        sockets[value as number] = socket;
        if (Object.keys(sockets).length === size) resolve();
      });
    });
  });
  const processes = start(path);
  const exits = processes.map((child) => once(child, 'exit'));
  await connected;
  server.close();
  const ask = (rank: number, request: object): Promise<RankReply> => {
    const id = pending.size;
    return new Promise((resolve) => {
      pending.set(id, resolve);
      sendValue(sockets[rank]!, { ...request, id });
    });
  };
  let replies: RankReply[] = [];
  for (const step of steps) {
    replies = await Promise.all(sockets.map((_, rank) => ask(rank, { join: step(rank, replies) })));
    for (const { error } of replies) if (error !== undefined) throw fromWireError(error);
  }
  return {
    ask,
    async kill(rank) {
      processes[rank]!.kill('SIGKILL');
      await exits[rank];
    },
    async end() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(exits);
    },
  };
}

function startEach(size: number, path: string): ChildProcess[] {
  return Array.from({ length: size }, (_, rank) =>
    spawn(process.execPath, [rankProgram, path, String(rank)], { stdio: 'inherit' }),
  );
}

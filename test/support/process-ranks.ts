import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromWireError } from '../../src/errors.ts';
import type { Ranks } from '../conformance/communicator.ts';
import type { RankReply } from './rank-agent.ts';
import type { RankJoin } from './rank-process.ts';
import { exited } from './process-end.ts';
import { onValues, sendValue } from './socket-frames.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

/** The program of a rank; takes the path of the test's socket, and its rank where nobody else says it. */
export const rankProgram = fileURLToPath(new URL('rank-process.ts', import.meta.url));

/** Chooses the next message to a rank, given the replies of all to the step before. */
export type JoinStep = (rank: number, replies: readonly RankReply[]) => RankJoin;

/** Processes that talk to the test over a socket, and form one group after the other. */
export class RankProcesses implements AsyncDisposable {
  readonly #directory = new TemporaryDirectory();
  readonly #path = join(this.#directory.path, 'ranks');
  readonly #server = createServer();
  readonly #listening = once(this.#server.listen(this.#path), 'listening');
  readonly #children = new Map<number, ChildProcess>();
  readonly #sockets = new Map<number, PromiseWithResolvers<Socket>>();
  readonly #pending = new Map<number, (reply: RankReply) => void>();
  readonly #startAll: ((socketPath: string) => ChildProcess) | undefined;
  #sessions = 0;

  /** @param startAll starts one process that starts all ranks, who know which they are; by default each is a child */
  constructor(startAll?: (socketPath: string) => ChildProcess) {
    this.#startAll = startAll;
    this.#server.on('connection', (socket) => this.#welcome(socket));
  }

  /**
   * Has the first ranks form a group, and starts those that are not there yet or no more.
   *
   * @param steps what to tell a rank, so that it finds the others; each step is given the replies to the last
   */
  async open(size: number, steps: readonly JoinStep[]): Promise<Ranks> {
    await this.#listening;
    this.#start(size);
    const session = this.#sessions++;
    const ranks = Array.from({ length: size }, (_, rank) => rank);
    let replies: RankReply[] = [];
    for (const step of steps) {
      const asked = ranks.map((rank) => this.#ask(rank, { session, join: step(rank, replies) }));
      replies = await Promise.all(asked);
      for (const { error } of replies) if (error !== undefined) throw fromWireError(error);
    }
    return {
      ask: (rank, request) => this.#ask(rank, { ...request, session }),
      kill: async (rank) => {
        const child = this.#children.get(rank)!;
        child.kill('SIGKILL');
        await exited(child);
        this.#sockets.delete(rank);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const { promise } of this.#sockets.values()) (await promise).destroy();
    await Promise.all([...this.#children.values()].map(exited));
    this.#directory[Symbol.dispose]();
  }

  #start(size: number): void {
    for (let rank = 0; rank < size; rank++) {
      if (this.#sockets.has(rank)) continue;
      this.#sockets.set(rank, Promise.withResolvers());
      if (this.#startAll === undefined) this.#children.set(rank, startRank(this.#path, rank));
      else if (rank === 0) this.#children.set(rank, this.#startAll(this.#path));
    }
  }

  #welcome(socket: Socket): void {
    socket.on('error', () => undefined);
    let isKnown = false;
    onValues(socket, (value) => {
      if (isKnown) this.#pending.get((value as RankReply).id)!(value as RankReply);
      else this.#sockets.get(value as number)!.resolve(socket);
      isKnown = true;
    });
  }

  async #ask(rank: number, request: object): Promise<RankReply> {
    const socket = await this.#sockets.get(rank)!.promise;
    const id = this.#pending.size;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      sendValue(socket, { ...request, id });
    });
  }
}

function startRank(path: string, rank: number): ChildProcess {
  return spawn(process.execPath, [rankProgram, path, String(rank)], { stdio: 'inherit' });
}

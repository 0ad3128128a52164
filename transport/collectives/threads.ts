import { randomUUID } from 'node:crypto';
import { CxmindError } from '../../src/errors.ts';
import { noteSharedBytes, sharedBuffer } from '../../src/tensor/memory.ts';
import { ThreadWords } from '../shared/words.ts';
import type { Communicator } from './communicator.ts';
import { Group, type Engine } from './group.ts';
import { Loans } from './loans.ts';
import { SharedEngine, type SharedOwner } from './shared-engine.ts';
import { SharedLayout } from './shared-layout.ts';

/** The memory of a group of threads: plain data, to hand to each of them. */
export interface ThreadGroupHandle {
  readonly size: number;
  readonly id: string;
  readonly memory: SharedArrayBuffer;
}

/** A new group for `size` threads of this process, each of which joins once. */
export function threadGroup(size: number): ThreadGroupHandle {
  const { byteLength } = new SharedLayout(size);
  return { size, id: randomUUID(), memory: sharedBuffer(byteLength) };
}

/**
 * Joins a group as one of its ranks. Does not wait for the others: the first operation does, also for one that
 * dies before it joins.
 *
 * @throws CONFIG_INVALID for a rank that the group does not have
 */
export function joinThreadGroup(handle: ThreadGroupHandle, rank: number): Communicator {
  return new Group(threadEngine(handle, rank));
}

function threadEngine(handle: ThreadGroupHandle, rank: number): SharedEngine {
  const { size, memory } = handle;
  if (!Number.isInteger(rank) || rank < 0 || rank >= size) {
    throw new CxmindError('CONFIG_INVALID', `rank ${rank} of a group of ${size} threads`);
  }
  noteSharedBytes(memory.byteLength);
  const region = {
    buffer: memory,
    words: new ThreadWords(new Int32Array(memory)),
    layout: new SharedLayout(size),
  };
  return new SharedEngine(region, rank, new ThreadOwner(handle.id, rank));
}

/** Hands the memory of new groups from thread to thread, over a channel that all of the old group hear. */
class ThreadOwner implements SharedOwner {
  readonly loans: Loans;
  readonly #id: string;
  #splits = 0;

  constructor(id: string, rank: number) {
    this.#id = id;
    this.loans = new Loans(`${id}/loans`, rank);
  }

  async split(
    rank: number,
    groups: readonly (readonly number[])[],
    engine: SharedEngine,
  ): Promise<Engine | null> {
    const channel = new BroadcastChannel(`${this.#id}/${this.#splits++}`);
    try {
      const index = groups.findIndex((members) => members.includes(rank));
      const coming = index === -1 ? undefined : handleFor(channel, index);
      // Whoever sends must know that all others listen.
      await engine.barrier();
      const members = groups[index];
      if (members === undefined) return null;
      if (members[0] !== rank) return threadEngine(await coming!, members.indexOf(rank));
      const handle = threadGroup(members.length);
      channel.postMessage({ index, handle });
      return threadEngine(handle, 0);
    } finally {
      channel.close();
    }
  }

  /** The memory goes with the last thread that knows of it. */
  close(): void {
    this.loans.close();
  }
}

/** The handle of group `index`, once its first member sends it. */
function handleFor(channel: Listener, index: number): Promise<ThreadGroupHandle> {
  return new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      const message = data as { index: number; handle: ThreadGroupHandle };
      if (message.index === index) resolve(message.handle);
    };
  });
}

type Listener = Pick<InstanceType<typeof BroadcastChannel>, 'onmessage'>;

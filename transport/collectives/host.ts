import { CxmindError } from '../../src/errors.ts';
import { dtypeNumber } from './call.ts';
import type { Communicator } from './communicator.ts';
import { Group, type Engine } from './group.ts';
import { HostWords } from './host-words.ts';
import { createHostMemory, HostMemory, unlinkHostMemory } from './native/host-memory.ts';
import { SharedEngine, type SharedOwner } from './shared-engine.ts';
import { SharedLayout } from './shared-layout.ts';

/** The memory of a group of processes: plain data, to hand to each of them. */
export interface HostGroupHandle {
  readonly size: number;
  /** Of the file in memory; it is gone once every rank has joined. */
  readonly path: string;
}

/** The tag of messages that hand out paths; -2^31 is no tag for others. */
const PATH_TAG = -(2 ** 31);
const PATH_BYTES = 64;

/**
 * A new group for `size` processes of this host and user, each of which joins once.
 *
 * @throws DEVICE_MISSING where processes cannot share memory
 */
export function hostGroup(size: number): HostGroupHandle {
  return { size, path: createHostMemory(new SharedLayout(size).byteLength) };
}

/** Takes back a group that not every rank has joined, or will. */
export function discardHostGroup({ path }: HostGroupHandle): void {
  unlinkHostMemory(path);
}

/**
 * Joins a group as one of its ranks. Does not wait for the others: the first operation does, also for one that
 * dies before it joins. Threads of one process may be ranks too, but a `threadGroup` is lighter for them.
 *
 * @throws CONFIG_INVALID for a rank that the group does not have
 */
export function joinHostGroup(handle: HostGroupHandle, rank: number): Communicator {
  return new Group(hostEngine(handle, rank));
}

function hostEngine({ size, path }: HostGroupHandle, rank: number): SharedEngine {
  if (!Number.isInteger(rank) || rank < 0 || rank >= size) {
    throw new CxmindError('CONFIG_INVALID', `rank ${rank} of a group of ${size} processes`);
  }
  const layout = new SharedLayout(size);
  const memory = new HostMemory(path, layout.byteLength);
  const words = new HostWords(memory, layout, rank);
  const region = { buffer: memory.buffer, words, layout };
  if (words.add(layout.joinedAt, 1) + 1 === size) unlinkHostMemory(path);
  return new SharedEngine(region, rank, new HostOwner(words));
}

/** Makes the files of new groups, and tells their paths by messages. */
class HostOwner implements SharedOwner {
  readonly #words: HostWords;

  constructor(words: HostWords) {
    this.#words = words;
  }

  async split(
    rank: number,
    groups: readonly (readonly number[])[],
    engine: SharedEngine,
  ): Promise<Engine | null> {
    const members = groups.find((group) => group.includes(rank));
    if (members === undefined) return null;
    const [first, ...others] = members;
    const elements = new Int32Array(PATH_BYTES / 4);
    const text = new Uint8Array(elements.buffer);
    const message = { tag: PATH_TAG, dtype: dtypeNumber('i32'), elements };
    if (rank === first) {
      const handle = hostGroup(members.length);
      new TextEncoder().encodeInto(handle.path, text);
      for (const other of others) await engine.send(message, other);
      return hostEngine(handle, 0);
    }
    await engine.receive(message, first!);
    const path = new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
    return hostEngine({ size: members.length, path }, members.indexOf(rank));
  }

  close(): void {
    this.#words.close();
  }
}

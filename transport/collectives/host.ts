/** Groups of processes of one host, which share a file in memory. */
import { Communicator } from './communicator.ts';
import { HostWords } from './host-words.ts';
import { createHostMemory, HostMemory, unlinkHostMemory } from './native/host-memory.ts';
import { SharedEngine } from './shared-engine.ts';
import { SharedLayout } from './shared-layout.ts';

/** Memory of a group of processes, as plain data to hand to each of them. */
export interface HostGroupHandle {
  readonly size: number;
  /** Path of the file in memory, which is gone once every rank has joined. */
  readonly path: string;
}

/** Makes a group for `size` processes of this host and user, each of which joins once, where `hasHostMemory`. */
export function hostGroup(size: number): HostGroupHandle {
  return { size, path: createHostMemory(new SharedLayout(size).byteLength) };
}

/**
 * Joins a group as one of its ranks.
 *
 * It does not wait for the others. The first operation does, and it notices a rank that dies before it joins.
 */
export function joinHostGroup({ size, path }: HostGroupHandle, rank: number): Communicator {
  const layout = new SharedLayout(size);
  const memory = new HostMemory(path, layout.byteLength);
  const words = new HostWords(memory, layout, rank);
  const region = { buffer: memory.buffer, words, layout };
  if (words.add(layout.joinedAt, 1) + 1 === size) unlinkHostMemory(path);
  return new Communicator(new SharedEngine(region, rank, { close: () => words.close() }));
}

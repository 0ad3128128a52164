/** Groups of threads of one process, which share memory and lend each other their tensors. */
import { randomUUID } from 'node:crypto';
import { noteSharedBytes, sharedBuffer, type SharedMemory } from '../../src/tensor/memory.ts';
import { SharedWords } from '../shared/words.ts';
import { Communicator } from './communicator.ts';
import { BufferLeases } from './leases.ts';
import { SharedEngine } from './shared-engine.ts';
import { SharedLayout } from './shared-layout.ts';

/** Memory of a group of threads, as plain data to hand to each of them. */
export interface ThreadGroupHandle {
  readonly size: number;
  readonly id: string;
  readonly memory: SharedMemory;
}

/** Makes a group for `size` threads of this process, each of which joins once. */
export function threadGroup(size: number): ThreadGroupHandle {
  const { byteLength } = new SharedLayout(size);
  return { size, id: randomUUID(), memory: sharedBuffer(byteLength) };
}

/**
 * Joins a group as one of its ranks.
 *
 * It does not wait for the others. The first operation does, and it notices a rank that dies before it joins.
 */
export function joinThreadGroup(
  { size, id, memory }: ThreadGroupHandle,
  rank: number,
): Communicator {
  noteSharedBytes(memory.byteLength);
  const region = {
    buffer: memory,
    words: new SharedWords(new Int32Array(memory)),
    layout: new SharedLayout(size),
  };
  const leases = new BufferLeases(id, rank);
  // The memory goes with the last thread that knows of it.
  return new Communicator(new SharedEngine(region, rank, { leases, close: () => leases.close() }));
}

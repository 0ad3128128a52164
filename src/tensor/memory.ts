import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { PageAdvice } from './page-advice.ts';

/**
 * Memory that all threads of a process may hold at once, and that native code may read and write: it crosses threads
 * without a copy and never moves. `viewOf` has typed views of it.
 */
export type SharedMemory = SharedArrayBuffer;

/** Makes shared memory of so many zeros: `sharedBuffer`, or `fileBuffer` for such that lies in a file. */
export type MakeShared = (byteLength: number) => SharedMemory;

/** Whether something is shared memory, as the buffer of a typed array may be. */
export function isShared(value: unknown): value is SharedMemory {
  return value instanceof SharedArrayBuffer;
}

/** Bytes between two looks at the process's memory, and how much it must have grown for a collection. */
const paceBytes = 256 * 2 ** 20;

/**
 * Milliseconds at least between two looks: a look takes tens of microseconds and may lead to a collection, and in
 * this time a thread fills less than `paceBytes`. Tensors that go to and fro count each time, and nothing grows.
 */
const lookMs = 20;

/**
 * Makes this thread's garbage collector keep up with shared memory.
 *
 * V8 counts a SharedArrayBuffer as a few bytes of garbage, whatever it holds, and so lets gigabytes of dropped
 * tensors stand (100 dropped blocks of 32 MiB: 3.2 GiB resident; with this, 0.5 GiB). Each thread that makes or
 * receives such memory says how much; a collection takes a few milliseconds and runs only if the process grew.
 */
class CollectionPace {
  #bytes = 0;
  #lookedAt = 0;
  #residentBytes = Infinity;
  #collect: (() => void) | undefined;

  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < paceBytes) return;
    const now = performance.now();
    if (now - this.#lookedAt < lookMs) return;
    this.#lookedAt = now;
    this.#bytes = 0;
    const residentBytes = process.memoryUsage.rss();
    if (residentBytes - this.#residentBytes > paceBytes) this.collect();
    this.#residentBytes = Math.min(this.#residentBytes, process.memoryUsage.rss());
  }

  collect(): void {
    if (this.#collect === undefined) {
      setFlagsFromString('--expose-gc');
      this.#collect = runInNewContext('gc') as () => void;
    }
    this.#collect();
  }
}

const pace = new CollectionPace();
const pages = new PageAdvice();

/** Says that this thread now refers to shared memory it did not refer to before. */
export function noteSharedBytes(bytes: number): void {
  pace.note(bytes);
}

/** Finds out now which shared memory this thread dropped; takes some milliseconds. */
export function collectShared(): void {
  pace.collect();
}

/** Shared memory of zeros whose size the garbage collector hears of, on huge pages where it is large. */
export function sharedBuffer(byteLength: number): SharedMemory {
  noteSharedBytes(byteLength);
  return lastingBuffer(byteLength);
}

/** The same for memory that lives as long as its thread does, and is no garbage before. */
export function lastingBuffer(byteLength: number): SharedMemory {
  const buffer = new SharedArrayBuffer(byteLength);
  pages.wantHuge(buffer);
  return buffer;
}

/** Gives the memory of a buffer that nobody will read again back now, rather than when a collection finds it. */
export function discardBuffer(buffer: SharedMemory): void {
  pages.discard(buffer);
}

/** Shared memory, and the pace at which each thread's garbage collector frees it. */
import { garbageCollector } from '../collector.ts';
import { PageAdvice } from './page-advice.ts';

/**
 * Memory that all threads of a process may hold at once, and that native code may read and write.
 *
 * It crosses threads without a copy and never moves. `viewOf` makes typed views of it.
 */
export type SharedMemory = SharedArrayBuffer;

/** A maker of zeros in shared memory: `sharedBuffer` or `fileBuffer`. */
export type MakeShared = (byteLength: number) => SharedMemory;

/** True if a value, such as the buffer of a typed array, is shared memory. */
export function isShared(value: unknown): value is SharedMemory {
  return value instanceof SharedArrayBuffer;
}

/** Bytes that a thread takes between two checks of the process's memory, and the growth that leads to a collection. */
const paceBytes = 256 * 2 ** 20;

/**
 * Shortest time between two checks, in milliseconds. A check takes tens of microseconds, and a thread fills less than
 * `paceBytes` in this time. A tensor that goes to and fro between threads counts each time, though nothing grows.
 */
const checkMs = 20;

/**
 * The pace of a thread's garbage collector, as far as shared memory goes.
 *
 * V8 counts a SharedArrayBuffer as a few bytes of garbage, whatever its size, so gigabytes of dropped tensors pile up
 * (100 dropped blocks of 32 MiB: 3.2 GiB resident, with this class 0.5 GiB). Each thread reports the memory that it makes
 * or receives. A collection takes a few milliseconds, and runs only if the process grew. Without `--expose-gc` there is none,
 * and V8 frees the memory when it likes.
 */
class CollectionPace {
  #bytes = 0;
  #checkedAt = 0;
  #residentBytes = Infinity;
  /** Undefined before the first collection, null where Node does not show its collector. */
  #collect: NodeJS.GCFunction | null | undefined;

  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < paceBytes) return;
    const now = performance.now();
    if (now - this.#checkedAt < checkMs) return;
    this.#checkedAt = now;
    this.#bytes = 0;
    const residentBytes = process.memoryUsage.rss();
    if (residentBytes - this.#residentBytes > paceBytes) this.collect();
    this.#residentBytes = Math.min(this.#residentBytes, process.memoryUsage.rss());
  }

  collect(): void {
    if (this.#collect === undefined) this.#collect = garbageCollector();
    this.#collect?.();
  }
}

/** One for a thread, since a thread has one garbage collector. */
const pace = new CollectionPace();
/** One for a thread, since native functions are declared for a thread. */
const pages = new PageAdvice();

/** Reports that this thread refers to further shared memory. */
export function noteSharedBytes(bytes: number): void {
  pace.note(bytes);
}

/** Collects the shared memory that this thread dropped; takes a few milliseconds. */
export function collectShared(): void {
  pace.collect();
}

/** Makes shared memory of zeros, on huge pages where it is large, and reports its size to the collector's pace. */
export function sharedBuffer(byteLength: number): SharedMemory {
  noteSharedBytes(byteLength);
  return lastingBuffer(byteLength);
}

/** Makes shared memory for the life of its thread, whose size is not reported. */
export function lastingBuffer(byteLength: number): SharedMemory {
  const buffer = new SharedArrayBuffer(byteLength);
  pages.wantHuge(buffer);
  return buffer;
}

/** Gives the pages of a buffer back now, rather than at a collection. Nobody may read it again. */
export function discardBuffer(buffer: SharedMemory): void {
  pages.discard(buffer);
}

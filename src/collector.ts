/** The garbage collector of this thread's JavaScript heap, for code that asks for a collection. */
import { runInNewContext } from 'node:vm';

/**
 * The function that collects garbage; null in a process that was started without `--expose-gc`.
 *
 * Processes of the commands have that from `bin`. A program that embeds the actors is started with it.
 */
export function garbageCollector(): NodeJS.GCFunction | null {
  return (runInNewContext('globalThis.gc') as NodeJS.GCFunction | undefined) ?? null;
}

/**
 * Collects all garbage of this thread, and gives the memory that its heap does not need back to the system.
 *
 * It is for the end of work that leaves much behind, such as loading modules and data. It takes some 60 ms. It does nothing
 * without `--expose-gc`.
 */
export function shrinkHeap(): void {
  garbageCollector()?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/** The garbage collector of this thread's JavaScript heap, for code that asks for a collection. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * The function that collects garbage.
 *
 * Node shows it to code only with the flag `--expose-gc`. The flag is set here, since users of the library start Node
 * themselves. Its only effect is a function `gc` in contexts that are made later.
 */
export function garbageCollector(): NodeJS.GCFunction {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as NodeJS.GCFunction;
}

/**
 * Collects all garbage of this thread, and gives the memory that its heap does not need back to the system.
 *
 * It is for the end of work that leaves much behind, such as loading modules and data. It takes some 60 ms.
 */
export function shrinkHeap(): void {
  garbageCollector()({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

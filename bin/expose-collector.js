import { setFlagsFromString } from 'node:v8';

/**
 * Shows the garbage collector to this process and its threads, as `node --expose-gc` does.
 *
 * Shared memory is garbage of gigabytes that V8 counts as bytes, so cxmind asks for collections (`src/tensor/memory.ts`).
 */
export function exposeCollector() {
  setFlagsFromString('--expose-gc');
}

import { setTimeout as delay } from 'node:timers/promises';
import { collectShared } from '../../src/tensor/memory.ts';

/** Resident memory, MiB, once garbage is collected and finalizers ran. */
export async function resident(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    collectShared();
    await delay(20);
  }
  return process.memoryUsage.rss() / 2 ** 20;
}

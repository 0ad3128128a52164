/** Resident memory, of this process or of one block. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { addressOf } from '../../src/native.ts';
import { collectShared } from '../../src/tensor/memory.ts';

/** Resident memory of this process, MiB, after garbage was collected and finalizers ran. */
export async function resident(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    collectShared();
    await delay(20);
  }
  return process.memoryUsage.rss() / 2 ** 20;
}

/** Bytes of a block's file that are in this process's memory; null where the block lies in no file. */
export function residentBytes(block: ArrayBufferLike): number | null {
  if (!(block instanceof SharedArrayBuffer)) return null;
  const start = addressOf(block).toString(16).padStart(12, '0');
  const regions = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const region = regions.find((one) => one.padStart(12, '0').startsWith(`${start}-`));
  if (region === undefined || !/^.* rw-s .*\(deleted\)$/m.test(region)) return null;
  return 1024 * Number(/^Rss:\s+(\d+) kB$/m.exec(region)![1]);
}

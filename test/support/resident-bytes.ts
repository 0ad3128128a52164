import { readFileSync } from 'node:fs';
import { addressOf } from '../../src/native.ts';

/** How much of a block that lies in a file is in this process's memory, in bytes; null where it lies in none. */
export function residentBytes(block: ArrayBufferLike): number | null {
  if (!(block instanceof SharedArrayBuffer)) return null;
  const start = addressOf(block).toString(16).padStart(12, '0');
  const regions = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const region = regions.find((one) => one.padStart(12, '0').startsWith(`${start}-`));
  if (region === undefined || !/^.* rw-s .*\(deleted\)$/m.test(region)) return null;
  return 1024 * Number(/^Rss:\s+(\d+) kB$/m.exec(region)![1]);
}

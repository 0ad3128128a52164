import { readFileSync } from 'node:fs';
import { addressOf } from '../../src/native.ts';

/** Bytes of a block's file that are in this process's memory; null where the block lies in no file. */
export function residentBytes(block: ArrayBufferLike): number | null {
  if (!(block instanceof SharedArrayBuffer)) return null;
  const start = addressOf(block).toString(16).padStart(12, '0');
  const regions = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const region = regions.find((one) => one.padStart(12, '0').startsWith(`${start}-`));
  if (region === undefined || !/^.* rw-s .*\(deleted\)$/m.test(region)) return null;
  return 1024 * Number(/^Rss:\s+(\d+) kB$/m.exec(region)![1]);
}

import type { Recording } from './device.ts';

/** Work that a device knows no cheaper way to do again than to queue it again. */
export function repeated(work: () => void): Recording {
  return { run: work, [Symbol.dispose]: () => undefined };
}

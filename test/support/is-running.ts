import { existsSync, readFileSync } from 'node:fs';

/** Whether a process does anything any more; one that ended and that nobody asks after does not. */
export function isRunning(pid: number): boolean {
  const status = `/proc/${pid}/status`;
  return existsSync(status) && !/^State:\s+Z/m.test(readFileSync(status, 'utf8'));
}

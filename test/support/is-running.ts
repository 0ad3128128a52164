import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

/** Tells whether a process runs. One that has ended and that its parent has not waited for does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Waits for the end of a process that was sent SIGKILL: the signal is asynchronous. */
export async function ended(pid: number): Promise<void> {
  while (isRunning(pid)) await setTimeout(5);
}

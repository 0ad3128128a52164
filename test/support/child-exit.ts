import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Resolves when a process has exited, at once where it has already. */
export async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

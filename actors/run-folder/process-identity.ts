/** Identity of a process, written to a file by which another process can tell later whether it still runs. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import * as t from 'io-ts';
import { attempt } from '../../src/errors.ts';
import { bootId, pidNamespace } from '../../src/host-identity.ts';

const textOrNull = t.union([t.string, t.null]);

/**
 * Identity of a process by which another one, later and perhaps elsewhere, can look it up.
 *
 * A pid alone is not enough: it is reused, also after a boot, and each container counts its own. Fields that only Linux
 * has are null elsewhere.
 */
export const ProcessIdentity = t.type({
  host: t.string,
  pid: t.number,
  /** Boot id of the host. */
  boot: textOrNull,
  /** Namespace of `pid`: each container has its own. */
  pidNamespace: textOrNull,
  /** Start of the process, in ticks since the boot. */
  startTicks: textOrNull,
});
export interface ProcessIdentity extends t.TypeOf<typeof ProcessIdentity> {}

/** Identity of this process. */
export function ownIdentity(): ProcessIdentity {
  const { pid } = process;
  return {
    host: hostname(),
    pid,
    boot: bootId(),
    pidNamespace: pidNamespace(),
    startTicks: statOf(pid)?.startTicks ?? null,
  };
}

/** State of a process; `unseen` where this one cannot look it up. */
export function stateOf(identity: ProcessIdentity): 'runs' | 'gone' | 'unseen' {
  if (identity.host !== hostname()) return 'unseen';
  if (identity.boot !== bootId()) return 'gone';
  if (identity.pidNamespace !== pidNamespace()) return 'unseen';
  if (identity.startTicks === null) return isThere(identity.pid) ? 'runs' : 'gone';
  const stat = statOf(identity.pid);
  const isSame = stat?.startTicks === identity.startTicks;
  return isSame && !stat.isDead ? 'runs' : 'gone';
}

/** Fields 3 and 22 of `/proc/PID/stat`, counted after the command's name, which may hold anything. */
function statOf(pid: number): { readonly startTicks: string; readonly isDead: boolean } | null {
  const text = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  if (text === null) return null;
  const [state = '', ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { startTicks: rest[18] ?? '', isDead: state === 'Z' || state === 'X' };
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Identities of threads by Linux's `/proc`, which tell whether a rank still runs. */
import { readFileSync, readlinkSync } from 'node:fs';
import { attempt } from '../../src/errors.ts';

/** Identity of a thread: its numbers and the time of its start, never the same for two threads of a host. */
export interface ThreadId {
  readonly pid: number;
  /** 0 where the system does not tell. Such a thread is never thought dead. */
  readonly tid: number;
  /** Clock ticks after the start of the host, modulo 2^31. */
  readonly start: number;
}

/** The calling thread. */
export function thisThread(): ThreadId {
  const { pid } = process;
  const known = attempt(() => {
    const tid = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    return { pid, tid, start: statusOf(pid, tid)!.start };
  });
  return known ?? { pid, tid: 0, start: 0 };
}

/** True while a thread runs. Exact on Linux; elsewhere always true. */
export function isAlive({ pid, tid, start }: ThreadId): boolean {
  if (tid === 0) return true;
  const status = statusOf(pid, tid);
  return status?.start === start && !'ZXx'.includes(status.state);
}

/** State and start of a thread, by proc_pid_stat(5); null for one that is gone. */
function statusOf(pid: number, tid: number): { state: string; start: number } | null {
  const text = attempt(() => readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8'));
  if (text === null) return null;
  // The second field is the thread's name in parentheses, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, start: Number(fields[19]) % 2 ** 31 };
}

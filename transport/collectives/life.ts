import { readFileSync, readlinkSync } from 'node:fs';

/** Which thread of which process, and when it started: never the same for two threads of a host. */
export interface Life {
  readonly pid: number;
  /** 0 where the system does not tell; such a thread is never thought dead. */
  readonly tid: number;
  /** Clock ticks after the start of the host, modulo 2^31. */
  readonly start: number;
}

/** The calling thread. */
export function thisThread(): Life {
  try {
    const tid = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    return { pid: process.pid, tid, start: statusOf(process.pid, tid)!.start };
  } catch {
    return { pid: process.pid, tid: 0, start: 0 };
  }
}

/** Whether that thread still runs: exact on Linux, and blind elsewhere. */
export function isAlive({ pid, tid, start }: Life): boolean {
  if (tid === 0) return true;
  const status = statusOf(pid, tid);
  return status?.start === start && !'ZXx'.includes(status.state);
}

function statusOf(pid: number, tid: number): { state: string; start: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the thread's name in parentheses, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, start: Number(fields[19]) % 2 ** 31 };
}

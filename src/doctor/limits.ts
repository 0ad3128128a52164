/** Limits of a process and its user. */
import { threadLimit } from './cgroup.ts';
import { enough, type Bounds, type Finding } from './finding.ts';
import type { Machine } from './machine.ts';

/** Limits of open files: a shard of a checkpoint, a picture and a socket are one each, and Node has some forty open. */
const fileBounds: Bounds = { broken: 256, scarce: 4096 };
/** Limits of threads, of which a run has a dozen for itself, besides those of computing. */
const threadBounds: Bounds = { broken: 64, scarce: 1024 };

/** Open files, and threads of the user or the control group. */
export function checkLimits(machine: Machine): Finding[] {
  const limits = machine.text('/proc/self/limits');
  if (limits === null) return [];
  const files = softLimit(limits, 'Max open files');
  const ofUser = softLimit(limits, 'Max processes');
  const ofGroup = threadLimit(machine);
  const threads = Math.min(ofUser, ofGroup);
  return [
    enough('open files', files, fileBounds, {
      says: `${inWords(files)} files at once`,
      // Node has raised its own limit to the hard one, which only root lifts.
      mend: 'sudo prlimit --pid $$ --nofile=65536:65536',
    }),
    enough('processes', threads, threadBounds, {
      says: `${inWords(threads)} threads at once${ofGroup < ofUser ? ', the limit of the cgroup' : ''}`,
      mend:
        ofGroup < ofUser
          ? 'docker update --pids-limit 32768 CONTAINER'
          : 'sudo prlimit --pid $$ --nproc=32768:32768',
    }),
  ];
}

/** @see proc_pid_limits(5) */
function softLimit(limits: string, name: string): number {
  const soft = new RegExp(`^${name}\\s+(\\d+|unlimited)`, 'm').exec(limits)?.[1];
  return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft);
}

function inWords(limit: number): string {
  return limit === Infinity ? 'any number of' : String(limit);
}

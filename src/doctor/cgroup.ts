/**
 * The limits of control groups, by which containers and schedulers divide a machine.
 *
 * A process is bound by its own group and by every group around that. Both versions are read.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/
 */
import type { Machine } from './machine.ts';

const ROOT = '/sys/fs/cgroup';
/** Limits of version 1 that stand for none begin a page below 2^63. */
const UNLIMITED = 2 ** 62;

/** Processors' worth of time that the groups leave a process; Infinity without a limit. */
export function processorQuota(machine: Machine): number {
  return leastOf(groupsOf(machine, 'cpu'), (group) => {
    const whole = machine.text(`${group}/cpu.max`)?.trim().split(/\s+/);
    const [quota, period] = whole ?? [
      machine.text(`${group}/cpu.cfs_quota_us`),
      machine.text(`${group}/cpu.cfs_period_us`),
    ];
    return limitOf(quota) / Number(period ?? 1);
  });
}

/** Bytes of memory that the groups leave a process; Infinity without a limit. */
export function memoryLimit(machine: Machine): number {
  return leastOf(groupsOf(machine, 'memory'), (group) =>
    limitOf(machine.text(`${group}/memory.max`) ?? machine.text(`${group}/memory.limit_in_bytes`)),
  );
}

/** Threads that the groups allow at once; Infinity without a limit. */
export function threadLimit(machine: Machine): number {
  return leastOf(groupsOf(machine, 'pids'), (group) => limitOf(machine.text(`${group}/pids.max`)));
}

/** Folders of the groups that bind this process by one controller, from its own outwards. */
function groupsOf(machine: Machine, controller: string): string[] {
  const lines = machine.text('/proc/self/cgroup')?.trim().split('\n') ?? [];
  return lines.flatMap((line) => {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers !== '' && !controllers.split(',').includes(controller)) return [];
    const names = path.split('/').filter(Boolean);
    const root = controllers === '' ? ROOT : `${ROOT}/${controller}`;
    return Array.from({ length: names.length + 1 }, (_, above) =>
      [root, ...names.slice(0, names.length - above)].join('/'),
    );
  });
}

function leastOf(groups: readonly string[], read: (group: string) => number): number {
  return Math.min(Infinity, ...groups.map(read));
}

/** A limit as a control group writes it: `max` and -1 are none, and so is a file that is not there. */
function limitOf(text: string | null | undefined): number {
  const limit = Number.parseInt(text ?? '', 10);
  return limit >= 0 && limit < UNLIMITED ? limit : Infinity;
}

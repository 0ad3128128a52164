/** Processors, memory, and room on disks: what a run uses up. */
import { sizeText } from '../files.ts';
import { memoryLimit, processorQuota } from './cgroup.ts';
import { broken, enough, ok, worthKnowing, type Bounds, type Finding } from './finding.ts';
import type { Machine } from './machine.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Limits of memory: below the first, Node and ONNX Runtime hardly start; a 2B model in bf16 alone takes 4 GiB. */
const memoryBounds: Bounds = { broken: 512 * MIB, scarce: 4 * GIB };
/** Limits of shared memory, through which the gradients of a group of ranks pass; Docker's default is 64 MiB. */
const sharedBounds: Bounds = { broken: 16 * MIB, scarce: GIB };
/** Limits of room on the disk: a checkpoint of a 2B model with its optimizer takes over 20 GiB. */
const diskBounds: Bounds = { broken: 512 * MIB, scarce: 20 * GIB };

/** Processors that a run may use, and whether others use them. */
export function checkProcessors(machine: Machine): Finding[] {
  const { cores, processors } = machine;
  const quota = processorQuota(machine);
  const threads = `computing takes ${cores} thread${cores === 1 ? '' : 's'}`;
  const findings = [
    quota < cores
      ? worthKnowing(
          'cores',
          `the cgroup gives time of ${quota} of ${processors} processors, yet ${threads}; set ` +
            `trainer.threads=${Math.max(1, Math.floor(quota))}`,
        )
      : ok('cores', `${cores} of ${processors} processors; ${threads}`),
  ];
  const load = Number(machine.text('/proc/loadavg')?.split(' ')[0] ?? 0);
  if (load > cores) {
    const says = `${load} tasks want ${cores} processors; runs are slow beside others`;
    findings.push(worthKnowing('load', says, 'top -b -n 1 | head -20'));
  }
  return findings;
}

/** Memory that is free for a run, and the pages it comes in. */
export function checkMemory(machine: Machine): Finding[] {
  const total = Math.min(machine.memoryBytes, memoryLimit(machine));
  const kib = /^MemAvailable:\s*(\d+) kB/m.exec(machine.text('/proc/meminfo') ?? '')?.[1];
  const free = kib === undefined ? total : Math.min(total, Number(kib) * 1024);
  const by = total < machine.memoryBytes ? ', the limit of the cgroup' : '';
  const memory = enough('memory', free, memoryBounds, {
    says: `${sizeText(free)} free of ${sizeText(total)}${by}`,
    mend: 'ps -eo rss,pid,comm --sort=-rss | head',
  });
  return [memory, ...checkHugePages(machine)];
}

function checkHugePages(machine: Machine): Finding[] {
  const path = '/sys/kernel/mm/transparent_hugepage/enabled';
  const mode = /\[(\w+)\]/.exec(machine.text(path) ?? '')?.[1];
  if (mode === undefined) return [];
  if (mode === 'always') return [ok('huge pages', 'always')];
  const says = `${mode}; large models find their weights faster with huge pages`;
  return [worthKnowing('huge pages', says, `echo always | sudo tee ${path}`)];
}

/** The file system in memory, through which processes of one host share tensors. */
export function checkSharedMemory(machine: Machine): Finding[] {
  if (machine.platform !== 'linux') return [];
  const room = machine.room('/dev/shm');
  if (room === null) {
    const says = 'missing; processes of one host then talk over the network';
    const mend = 'sudo mkdir /dev/shm && sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm';
    return [worthKnowing('/dev/shm', says, mend)];
  }
  if (!room.isWritable) {
    return [broken('/dev/shm', 'this user may not write to it', 'sudo chmod 1777 /dev/shm')];
  }
  return [
    enough('/dev/shm', room.freeBytes, sharedBounds, {
      says: `${sizeText(room.freeBytes)} free`,
      mend: 'sudo mount -o remount,size=50% /dev/shm',
    }),
  ];
}

/** The folder that runs would be written to. */
export function checkDisk({ folder, room: roomOf }: Machine): Finding[] {
  const room = roomOf(folder);
  const name = JSON.stringify(folder);
  if (room?.isWritable !== true) {
    return [broken('disk', `this user may not write to ${folder}`, `sudo chown $USER ${name}`)];
  }
  return [
    enough('disk', room.freeBytes, diskBounds, {
      says: `${sizeText(room.freeBytes)} free in ${folder}`,
      mend: `du -xh ${name} | sort -h | tail`,
    }),
  ];
}

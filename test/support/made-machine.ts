import type { Machine, Part, Room } from '../../src/doctor/machine.ts';

/** Differences of a made-up machine from the sound one. */
export interface Differences extends Partial<
  Pick<Machine, 'platform' | 'arch' | 'cores' | 'processors' | 'environment'>
> {
  /** Files by path; null takes one away. */
  readonly files?: Readonly<Record<string, string | null>>;
  readonly devices?: readonly string[];
  readonly rooms?: Readonly<Record<string, Room | null>>;
  /** Programs that are not installed. */
  readonly missing?: readonly string[];
  /** Parts that do not open, and why. */
  readonly failing?: Readonly<Partial<Record<Part, string>>>;
}

const GIB = 2 ** 30;

const soundFiles = {
  '/proc/self/cgroup': '0::/\n',
  '/proc/loadavg': '0.50 0.40 0.30 1/100 4242\n',
  '/proc/meminfo': `MemTotal: ${64 * 2 ** 20} kB\nMemFree: 1 kB\nMemAvailable: ${32 * 2 ** 20} kB\n`,
  '/proc/self/limits': [
    'Limit                     Soft Limit           Hard Limit           Units     ',
    'Max processes             unlimited            unlimited            processes ',
    'Max open files            65536                65536                files     ',
  ].join('\n'),
  '/sys/kernel/mm/transparent_hugepage/enabled': '[always] madvise never\n',
};

/** A Linux machine with one card on which everything works, except for some differences. */
export function madeMachine(differences: Differences = {}): Machine {
  const { devices = ['null', 'nvidia0', 'nvidiactl'], missing = [], failing = {} } = differences;
  const { platform = 'linux', arch = 'x64', cores = 8, processors = 8 } = differences;
  const files: Readonly<Record<string, string | null>> = { ...soundFiles, ...differences.files };
  const room = { freeBytes: 64 * GIB, isWritable: true };
  const rooms: Readonly<Record<string, Room | null>> = {
    '/dev/shm': room,
    '/runs': room,
    ...differences.rooms,
  };
  return {
    ...{ platform, arch, cores, processors, node: 'v24.1.0', folder: '/runs' },
    memoryBytes: 64 * GIB,
    environment: differences.environment ?? {},
    text: (path) => files[path] ?? null,
    names: (folder) => (folder === '/dev' ? devices : []),
    room: (folder) => rooms[folder] ?? null,
    printed: (program) =>
      Promise.resolve(missing.includes(program) ? null : `${program} version 1\nmore\n`),
    opened: (part) => {
      const reason = failing[part];
      return Promise.resolve(reason === undefined ? { works: true } : { works: false, reason });
    },
  };
}

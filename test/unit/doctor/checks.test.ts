import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { examine } from '../../../src/doctor/checks.ts';
import type { Finding, Verdict } from '../../../src/doctor/finding.ts';
import { reportOf } from '../../../src/doctor/report.ts';
import { madeMachine, type Differences } from '../../support/made-machine.ts';

const MIB = 2 ** 20;
const room = (freeBytes: number) => ({ freeBytes, isWritable: true });
const limits = (files: number, processes: number): Readonly<Record<string, string>> => ({
  '/proc/self/limits': `Max processes  ${processes} ${processes} processes\nMax open files ${files} ${files} files\n`,
});
const shared = 'sudo mount -o remount,size=50% /dev/shm';
const top = 'top -b -n 1 | head -20';

/** Machines that lack one thing each, and what is to be found about it. */
const cases: readonly [
  what: string,
  differences: Differences,
  verdict: Verdict,
  check: string,
  says: RegExp,
  mend: string | undefined,
][] = [
  [
    'another system',
    { platform: 'darwin', arch: 'arm64' },
    ...(['worth knowing', 'node', /darwin on arm64/, undefined] as const),
  ],
  [
    'no ONNX Runtime',
    { failing: { onnxruntime: 'onnxruntime-node has no library' } },
    ...(['broken', 'ONNX Runtime', /^onnxruntime-node has no library$/, 'npm ci'] as const),
  ],
  [
    'a wrong path of ONNX Runtime',
    { failing: { onnxruntime: 'no file' }, environment: { CXMIND_ONNXRUNTIME: '/no' } },
    ...(['broken', 'ONNX Runtime', /^no file$/, 'unset CXMIND_ONNXRUNTIME'] as const),
  ],
  [
    'no card',
    { devices: ['null', 'nvidiactl'] },
    ...(['worth knowing', 'cards', /no NVIDIA card/, undefined] as const),
  ],
  [
    'a card without its driver',
    { failing: { driver: "device cuda: NVIDIA's driver was not found" } },
    ...(['broken', 'CUDA driver', /^NVIDIA's driver/, 'sudo apt-get install libcuda1'] as const),
  ],
  [
    'a card without cuDNN',
    { failing: { cudnn: 'device cuda: cuDNN was not found' } },
    ...(['broken', 'cuDNN', /^cuDNN was/, 'sudo apt-get install libcudnn9-cuda-13'] as const),
  ],
  [
    'a card without its provider',
    { failing: { cuda: 'device cuda: install it with `npm install --no-save a@1` (CUDA 13)' } },
    ...(['broken', 'CUDA provider', /^install it/, 'npm install --no-save a@1'] as const),
  ],
  [
    'a card that is too old',
    { failing: { cuda: 'device cuda:0: a card of compute capability 7.5 has no bf16' } },
    ...(['broken', 'CUDA provider', /^a card of/, 'nvidia-smi'] as const),
  ],
  [
    'one card without NCCL',
    { failing: { nccl: 'device cuda: NCCL was not found' } },
    ...(['worth knowing', 'NCCL', /several cards/, 'pip install nvidia-nccl-cu13'] as const),
  ],
  [
    'two cards without NCCL',
    { devices: ['nvidia0', 'nvidia1'], failing: { nccl: 'device cuda: NCCL was not found' } },
    ...(['broken', 'NCCL', /^NCCL was/, 'pip install nvidia-nccl-cu13'] as const),
  ],
  [
    'no adapter of WebGPU',
    { failing: { webgpu: 'device webgpu: it needs a GPU (WebGPU: /a/b.cc:100 failed)' } },
    ...(['worth knowing', 'WebGPU', /^no adapter; it needs a GPU$/, undefined] as const),
  ],
  [
    'no MPI',
    { failing: { mpi: 'no Open MPI library' } },
    ...(['worth knowing', 'MPI', /mpirun needs it/] as const),
    'sudo apt-get install openmpi-bin libopenmpi-dev',
  ],
  [
    'a quota of one and a half processors',
    { files: { '/sys/fs/cgroup/cpu.max': '150000 100000\n' } },
    ...(['worth knowing', 'cores', /1\.5 of 8 .*trainer\.threads=1$/, undefined] as const),
  ],
  [
    'others at work',
    { files: { '/proc/loadavg': '9.50 1 1 1/1 1\n' } },
    ...(['worth knowing', 'load', /^9\.5 tasks want 8 processors/, top] as const),
  ],
  [
    'little memory',
    { files: { '/proc/meminfo': 'MemAvailable: 2097152 kB\n' } },
    ...(['worth knowing', 'memory', /^2\.0 GiB free of 64\.0 GiB$/] as const),
    'ps -eo rss,pid,comm --sort=-rss | head',
  ],
  [
    'a small memory limit',
    { files: { '/sys/fs/cgroup/memory.max': `${256 * MIB}\n` } },
    ...(['broken', 'memory', /^256\.0 MiB free of 256\.0 MiB, the limit of the cgroup$/] as const),
    'ps -eo rss,pid,comm --sort=-rss | head',
  ],
  [
    'no huge pages',
    { files: { '/sys/kernel/mm/transparent_hugepage/enabled': 'always madvise [never]\n' } },
    ...(['worth knowing', 'huge pages', /^never;/] as const),
    'echo always | sudo tee /sys/kernel/mm/transparent_hugepage/enabled',
  ],
  [
    'no /dev/shm',
    { rooms: { '/dev/shm': null } },
    ...(['worth knowing', '/dev/shm', /over the network/] as const),
    'sudo mkdir /dev/shm && sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm',
  ],
  [
    "Docker's /dev/shm",
    { rooms: { '/dev/shm': room(64 * MIB) } },
    ...(['worth knowing', '/dev/shm', /^64\.0 MiB free$/, shared] as const),
  ],
  [
    'a full /dev/shm',
    { rooms: { '/dev/shm': room(MIB) } },
    ...(['broken', '/dev/shm', /^1\.0 MiB free$/, shared] as const),
  ],
  [
    'a /dev/shm of root',
    { rooms: { '/dev/shm': { ...room(64 * MIB), isWritable: false } } },
    ...(['broken', '/dev/shm', /may not write/, 'sudo chmod 1777 /dev/shm'] as const),
  ],
  [
    'a full disk',
    { rooms: { '/runs': room(0) } },
    ...(['broken', 'disk', /^0 B free in \/runs$/, 'du -xh "/runs" | sort -h | tail'] as const),
  ],
  [
    'a folder of another user',
    { rooms: { '/runs': { ...room(64 * MIB), isWritable: false } } },
    ...(['broken', 'disk', /may not write to \/runs/, 'sudo chown $USER "/runs"'] as const),
  ],
  [
    'few open files',
    { files: limits(1024, 30_000) },
    ...(['worth knowing', 'open files', /^1024 files/] as const),
    'sudo prlimit --pid $$ --nofile=65536:65536',
  ],
  [
    'hardly a process',
    { files: limits(65_536, 50) },
    ...(['broken', 'processes', /^50 threads at once$/] as const),
    'sudo prlimit --pid $$ --nproc=32768:32768',
  ],
  [
    'a container with few processes',
    { files: { '/sys/fs/cgroup/pids.max': '100\n' } },
    ...(['worth knowing', 'processes', /^100 threads at once, the limit of the cgroup$/] as const),
    'docker update --pids-limit 32768 CONTAINER',
  ],
  [
    'no ffmpeg',
    { missing: ['ffmpeg'] },
    ...(['worth knowing', 'ffmpeg', /^missing; needed for videos/] as const),
    'sudo apt-get install ffmpeg',
  ],
];

describe('the checks of doctor', () => {
  const seen: Finding[] = [];

  it('find nothing on a sound machine', async () => {
    const findings = await examine(madeMachine());
    assert.deepEqual(
      findings.filter(({ verdict }) => verdict !== 'ok'),
      [],
    );
    const names = findings.map(({ check }) => check);
    assert.equal(new Set(names).size, names.length);
    seen.push(...findings);
  });

  for (const [what, differences, verdict, check, says, mend] of cases) {
    it(`find ${what}, and nothing else`, async () => {
      const findings = await examine(madeMachine(differences));
      const bad = findings.filter((finding) => finding.verdict !== 'ok');
      assert.deepEqual(
        bad.map((finding) => [finding.verdict, finding.check, finding.mend]),
        [[verdict, check, mend]],
      );
      assert.match(bad[0]!.says, says);
      seen.push(...bad);
    });
  }

  it('look for no library of a card where there is none', async () => {
    const failing = { driver: 'none', cudart: 'none', nccl: 'none', cuda: 'none' };
    const findings = await examine(madeMachine({ devices: [], failing }));
    assert.ok(findings.every(({ verdict }) => verdict !== 'broken'));
  });

  it('are told in 80 columns, with commands that a shell reads as they are', () => {
    assert.ok(seen.length > cases.length);
    for (const finding of seen) {
      const report = reportOf(finding);
      for (const line of report.split('\n')) assert.ok(line.length <= 80, line);
      const [, shown] = /\$ ([^]*)$/.exec(report) ?? [];
      const { status } = spawnSync('sh', ['-n'], { input: shown ?? '' });
      assert.equal(status, 0);
      assert.equal(shown?.replaceAll(/ \\\n +/g, ' '), finding.mend);
    }
  });
});

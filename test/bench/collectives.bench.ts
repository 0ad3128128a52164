import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { print } from './harness.ts';

const SIZES = [1, 16, 64];
const TURNS = 5;

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const python = process.env['CXMIND_PEER_PYTHON'];

/** Milliseconds by size in MiB. */
type Times = Readonly<Record<string, number>>;
type Side = (ranks: number) => string[];

const mpirun: Side = (ranks) => [
  ...[
    'mpirun',
    '--allow-run-as-root',
    '--oversubscribe',
    '--bind-to',
    'none',
    '-np',
    String(ranks),
  ],
];
const rank = file('collectives/all-reduce.ts');
const peer = file('peers/all_reduce.py');
const ours: Readonly<Record<string, Side>> = {
  threads: () => [process.execPath, rank, 'threads'],
  processes: () => [process.execPath, rank, 'processes'],
  hosts: () => [process.execPath, rank, 'hosts'],
  mpi: (ranks) => [...mpirun(ranks), process.execPath, rank, 'mpi'],
};
const theirs: Readonly<Record<string, Side>> = {
  gloo: () => [python!, peer, 'gloo'],
  mpi4py: (ranks) => [...mpirun(ranks), python!, peer, 'mpi'],
};
/** Pairs of sides that are compared: mpi4py is Open MPI with next to nothing on top. */
const pairs = [
  ['threads', 'mpi4py'],
  ['processes', 'gloo'],
  ['hosts', 'gloo'],
  ['processes', 'mpi4py'],
  ['mpi', 'mpi4py'],
] as const;

/**
 * All-reduce of f32 in place, on ranks of one machine, beside Gloo and Open MPI; ours in the two halves that training
 * has, and with `hosts` as if half of the ranks were on another machine. Every turn starts each side
 * once, one after the other, so that all see the same machine; ratios are of bandwidth, turn by turn.
 */
export async function benchCollectives(): Promise<void> {
  if (python === undefined) {
    process.stderr.write(
      'gloo, mpi4py: not measured; set CXMIND_PEER_PYTHON to a Python with torch and mpi4py\n',
    );
  }
  const sides = { ...ours, ...(python === undefined ? {} : theirs) };
  for (const ranks of [2, 4]) {
    const times = new Map<string, Times[]>();
    for (let turn = 0; turn < TURNS; turn++) {
      for (const [name, side] of Object.entries(sides)) {
        const measured = await run(name, side(ranks), ranks);
        if (measured !== undefined) times.set(name, [...(times.get(name) ?? []), measured]);
      }
    }
    report(ranks, times);
  }
}

function report(ranks: number, times: ReadonlyMap<string, readonly Times[]>): void {
  for (const sizeMiB of SIZES) {
    const params = { ranks, sizeMiB };
    const of = (name: string): number[] => (times.get(name) ?? []).map((turn) => turn[sizeMiB]!);
    for (const name of times.keys()) {
      print({ name: `collectives.allReduce.${name}`, params, unit: 'ms' }, of(name));
    }
    for (const [own, other] of pairs) {
      const [mine, others] = [of(own), of(other)];
      if (mine.length === 0 || mine.length !== others.length) continue;
      const name = `collectives.allReduce.${own}.${other}.ratio`;
      print(
        { name, params, unit: `bandwidth, ours / ${other}` },
        mine.map((ms, turn) => others[turn]! / ms),
      );
    }
  }
}

/** Measures a side; prints the reason and gives nothing where it cannot run here. */
async function run(name: string, command: string[], ranks: number): Promise<Times | undefined> {
  const [program, ...args] = [...command, String(ranks), SIZES.join(',')];
  try {
    const { stdout } = await promisify(execFile)(program, args, { timeout: 120_000 });
    return JSON.parse(stdout) as Times;
  } catch (error) {
    process.stderr.write(`${name}: not measured: ${String(error).split('\n')[0]}\n`);
    return undefined;
  }
}

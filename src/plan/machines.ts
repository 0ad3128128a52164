/** The table of machines that plans are made for (`configs/machines.yaml`), and what their parts take for work. */
import { availableParallelism, totalmem } from 'node:os';
import * as t from 'io-ts';
import { closed, orNull, recordOf, withDefault } from '../check/codec.ts';
import { configInvalid, decodeOrThrow } from '../check/issues.ts';
import { above, positiveInt, text as name } from '../check/scalars.ts';
import { readYaml } from '../config/yaml.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import type { DeviceKind } from './counted/device.ts';
import type { Measured } from './calibration.ts';
import { workOf, type Work } from './counted/work.ts';

const Cards = closed({
  name,
  count: positiveInt,
  memoryGib: above(0),
  bandwidthGbS: above(0),
  tflopsBf16: above(0),
  tflopsF32: above(0),
  linkGbS: orNull(above(0)),
});

const Host = closed({
  cores: positiveInt,
  memoryGib: above(0),
  bandwidthGbS: above(0),
  gflopsACore: above(0),
});

const MachineEntry = closed({ cards: withDefault(t.union([Cards, t.null]), null), host: Host });

/** A machine: its cards, if it has any, and its host. Bandwidths are in GB/s, each way for a link between cards. */
export interface Machine extends t.TypeOf<typeof MachineEntry> {
  readonly name: string;
  /** Numbers that were measured on it; null or absent without a measurement. */
  readonly measured?: Partial<Measured> | null;
}

const Machines = recordOf(MachineEntry, 'machines by name');

/**
 * Reads a table of machines.
 *
 * @throws CONFIG_INVALID naming file, line and key of everything that is wrong
 */
export async function readMachines(file: string): Promise<Machine[]> {
  const { value, sources } = await readYaml('machines', file);
  const entries = decodeOrThrow(Machines, value, (issues) =>
    configInvalid(issues.map((issue) => ({ ...issue, source: sources.get(issue.path) ?? file }))),
  );
  return Object.entries(entries).map(([name, machine]) => ({ name, ...machine }));
}

/** The name of the machine that a plan is made on. */
export const THIS_MACHINE = 'this machine';

/**
 * This machine's processor and memory.
 *
 * @param measured its calibration; without one, its speed is taken for that of a common core
 */
export function thisMachine(measured: Machine['measured']): Machine {
  const host = {
    cores: availableParallelism(),
    memoryGib: totalmem() / 2 ** 30,
    bandwidthGbS: 10 * availableParallelism(),
    gflopsACore: 50,
  };
  return { name: THIS_MACHINE, cards: null, host, measured: measured ?? null };
}

/**
 * Shares of what makers state that programs reach. Those of cards are fitted to the measurements in `README.md`: 36
 * layers of Qwen2.5-VL 3B in bf16 on H100 and H200.
 */
const REACHED = {
  card: { products: 0.63, batched: 0.3, bandwidth: 0.72, link: 0.6 },
  host: { products: 0.7, batched: 0.35, bandwidth: 0.5 },
};

/**
 * Seconds of what no table states: queueing a program or a kernel, a pass of JavaScript, an exponential, a byte's copy.
 */
const FIXED = {
  card: { programs: 2e-5, nodes: 5e-6, recorded: 2e-6, exponentials: 2e-13, copied: 4e-11 },
  host: { programs: 1e-5, nodes: 4e-6, exponentials: 2e-9, scalars: 1.5e-9 },
};

/** Threads that compute: as many as were asked for, and no more than there are cores; null is one per core. */
export function threadsOn({ host }: Machine, threads: number | null): number {
  return Math.min(threads ?? host.cores, host.cores);
}

/**
 * Seconds that a machine takes for a unit of each kind of work.
 *
 * @param wanted compute threads of a run on the processor. Each has its share of the cores' speed and bandwidth. Rates
 *   that were measured with another number of threads do not count
 */
export function ratesOf(
  machine: Machine,
  kind: DeviceKind,
  dtype: FloatDType,
  wanted: number | null,
): Work {
  const { cards, host, measured } = machine;
  if (kind === 'cuda' && cards !== null) {
    const { products, batched, bandwidth, link } = REACHED.card;
    const operations = 1e12 * (dtype === 'f32' ? cards.tflopsF32 : cards.tflopsBf16);
    const byte = 1 / (bandwidth * cards.bandwidthGbS * 1e9);
    return workOf({
      ...FIXED.card,
      products: 1 / (products * operations),
      batched: 1 / (batched * operations),
      operands: byte,
      moved: byte,
      scalars: FIXED.host.scalars,
      exchanged: cards.linkGbS === null ? 1e-10 : 1 / (link * cards.linkGbS * 1e9),
    });
  }
  const threads = threadsOn(machine, wanted);
  if (measured?.seconds !== undefined && measured.threads === threads) return measured.seconds;
  const { products, batched, bandwidth } = REACHED.host;
  const operations = 1e9 * threads * host.gflopsACore;
  const byte = 1 / (bandwidth * host.bandwidthGbS * (threads / host.cores) * 1e9);
  return workOf({
    ...FIXED.host,
    products: 1 / (products * operations),
    batched: 1 / (batched * operations),
    operands: byte,
    moved: byte,
    exponentials: FIXED.host.exponentials / threads,
    exchanged: byte,
  });
}

import { execSync } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';

/** One measurement: what is done, with which sizes, and in what the result is counted. */
export interface Case {
  readonly name: string;
  readonly params: Readonly<Record<string, number | string>>;
  readonly unit: string;
}

/** Values of one call, by the name of the part they belong to. */
export type Measured = Readonly<Record<string, number>>;

/** Somebody else who does the same work, to be measured in turns with ours. */
export interface Opponent {
  readonly name: string;
  /** One call; values by part. */
  measure(params: Case['params']): Promise<Measured>;
}

const WARMUPS = 2;
const ROUNDS = 7;

const device = `cpu: ${cpus()[0]?.model ?? 'unknown'} x ${availableParallelism()}`;
/** Null where the sources came without their history. */
const commit =
  execSync('git describe --always --dirty 2>&- || true', { encoding: 'utf8' }).trim() || null;

/**
 * Measures our side and the peer's in turns, so that both see the same machine, and prints a JSON line
 * for every part of each; for parts that both have also the ratio of ours to theirs, pair by pair.
 *
 * Libraries such as mitata time one function in a loop. Here a call is a whole run, and two programs take turns.
 *
 * @param ours one call; returns its parts' values
 * @param peer the other side, undefined when there is none
 */
export async function compare(
  { name, params, unit }: Case,
  ours: () => Promise<Measured> | Measured,
  peer: Opponent | undefined,
): Promise<void> {
  const [mine, theirs]: [Measured[], Measured[]] = [[], []];
  for (let round = 0; round < WARMUPS + ROUNDS; round++) {
    const own = await ours();
    const other = await peer?.measure(params);
    if (round < WARMUPS) continue;
    mine.push(own);
    if (other !== undefined) theirs.push(other);
  }
  for (const part of Object.keys(mine[0]!)) {
    const values = mine.map((measured) => measured[part]!);
    print({ name: `${name}.${part}`, params, unit }, values);
    if (theirs[0]?.[part] === undefined) continue;
    const others = theirs.map((measured) => measured[part]!);
    print({ name: `${name}.${part}.${peer!.name}`, params, unit }, others);
    const ratios = values.map((value, i) => value / others[i]!);
    print({ name: `${name}.${part}.ratio`, params, unit: `ours / ${peer!.name}` }, ratios);
  }
}

/** One JSON line for one case. */
export function print({ name, params, unit }: Case, values: readonly number[]): void {
  const sorted = values.toSorted((a, b) => a - b);
  const quantile = (q: number): number => round(sorted[Math.round(q * (sorted.length - 1))]!);
  const summary = { n: values.length, p50: quantile(0.5), min: quantile(0), max: quantile(1) };
  const line = { name, params, unit, ...summary, device, node: process.version, commit };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Rounds to four significant digits. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}

/** Peak resident memory of this process so far, MiB. */
export function peakMemory(): number {
  return process.resourceUsage().maxRSS / 1024;
}

/** Seconds since some moment, to subtract. */
export function now(): number {
  return performance.now() / 1000;
}

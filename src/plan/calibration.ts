/** Numbers of this machine that `cxmind plan --calibrate` measured, in a file of the user's cache. */
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import * as t from 'io-ts';
import { jsonIn } from '../check/json.ts';
import { userCacheFolder, writeJson } from '../files.ts';
import { workOf, type Work } from './counted/work.ts';

const Calibration = t.type({
  /** The processor and its cores: a file of another machine, as in a shared home, does not count. */
  processor: t.string,
  cores: t.number,
  /** Time of the measurement, ISO 8601. */
  date: t.string,
  /** Compute threads that the seconds were measured with. */
  threads: t.number,
  /** Seconds for a unit of each kind of work. */
  seconds: t.record(t.string, t.number),
  /** Bytes of a run's process beside its models. */
  base_bytes: t.number,
});

/** Numbers of this machine. */
export interface Measured {
  readonly seconds: Work;
  /** Compute threads that the seconds were measured with. */
  readonly threads: number;
  readonly baseBytes: number;
}

/** The file that calibrations are kept in. */
export function calibrationFile(): string {
  return join(userCacheFolder(), 'cxmind', 'calibration.json');
}

/** This machine's calibration; null where there is none. */
export async function readCalibration(): Promise<Measured | null> {
  const kept = await jsonIn(Calibration, calibrationFile());
  if (kept?.processor !== processor() || kept.cores !== availableParallelism()) return null;
  return { seconds: workOf(kept.seconds), threads: kept.threads, baseBytes: kept.base_bytes };
}

/** Keeps a calibration in place of the last one. */
export async function keepCalibration({ seconds, threads, baseBytes }: Measured): Promise<void> {
  const kept: t.TypeOf<typeof Calibration> = {
    processor: processor(),
    cores: availableParallelism(),
    date: new Date().toISOString(),
    threads,
    seconds,
    base_bytes: baseBytes,
  };
  await writeJson(calibrationFile(), kept);
}

function processor(): string {
  return cpus()[0]?.model ?? 'unknown';
}

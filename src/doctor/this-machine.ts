import { execFile } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { attempt } from '../errors.ts';
import type { Machine } from './machine.ts';

/** Longest run of a program that prints its version. */
const PROGRAM_MS = 20_000;

/**
 * The machine that this process runs on.
 *
 * @param opened opens a part where it can do no harm to this process
 */
export function thisMachine(opened: Machine['opened']): Machine {
  return {
    platform: process.platform,
    arch: process.arch,
    node: process.version,
    folder: process.cwd(),
    processors: cpus().length,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    environment: process.env,
    text: (path) => attempt(() => readFileSync(path, 'utf8')),
    names: (folder) => attempt(() => readdirSync(folder)) ?? [],
    room: (folder) =>
      attempt(() => {
        const { bavail, bsize } = statfsSync(folder);
        const isWritable = attempt(() => {
          accessSync(folder, constants.W_OK);
          return true;
        });
        return { freeBytes: bavail * bsize, isWritable: isWritable ?? false };
      }),
    printed: (program, ...args) =>
      promisify(execFile)(program, args, { timeout: PROGRAM_MS }).then(
        ({ stdout, stderr }) => stdout || stderr,
        () => null,
      ),
    opened,
  };
}

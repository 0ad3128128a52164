import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import type { RewardFile } from '../../src/config/names.ts';
import type { Logger } from '../runtime/actor.ts';

/*
 * What user code has in common, whatever it is for: its name, its limits, and what it prints.
 */

/** Time for loading user code, which may mean heavy libraries. */
export const LOAD_LIMIT_MS = 120_000;

/** Time for user code to do what it does at exit. */
export const EXIT_LIMIT_MS = 2_000;

/** Name of a user's function in logs and errors. */
export function titleOf({ file, name }: RewardFile): string {
  return `${file}:${name}`;
}

/** Characters of a printed line that are kept. */
const LONGEST_LINE = 2000;

/** Logs what a user's code prints, line by line. @param kind what prints: `reward function` */
export function logPrinted(
  stream: Readable,
  logger: Logger,
  kind: string,
  onLine?: (line: string) => void,
): void {
  createInterface({ input: stream, crlfDelay: Infinity }).on('line', (whole) => {
    if (whole.trim() === '') return;
    const line = whole.length > LONGEST_LINE ? `${whole.slice(0, LONGEST_LINE)}…` : whole;
    logger.info({ line }, `${kind} printed`);
    onLine?.(line);
  });
}

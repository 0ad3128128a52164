/** Code of users, whatever it is for: how it is called, its names and limits, and the log of what it prints. */
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { CodeKind } from '../../src/reward/user-file.ts';
import type { Logger } from '../runtime/actor.ts';

/** A user's code, run where it can take nobody down with it. After its loss the next call starts it again. */
export interface UserCode<Request> extends AsyncDisposable {
  /** Loads it, unless it is there. @throws the code of its names when that fails; the signal's reason */
  start(signal: AbortSignal): Promise<void>;
  /**
   * Calls it; one call at a time.
   *
   * @throws what the code throws, with a message that continues its name; ACTOR_TIMEOUT when it took longer than
   *   `limitMs` and was ended; ACTOR_CRASHED or the code of its names when it died; the signal's reason
   */
  call(request: Request, limitMs: number, signal: AbortSignal): Promise<unknown>;
}

/** Names of some user code in logs and errors. */
export interface CodeNames extends CodeKind {
  /** File and function. */
  readonly title: string;
}

/** Time for loading user code, which may mean heavy libraries. */
export const LOAD_LIMIT_MS = 120_000;

/** Time for user code to run its exit handlers. */
export const EXIT_LIMIT_MS = 2_000;

/** The error of code that does not load. */
export function loadError({ kind, title, code }: CodeNames, cause: unknown): CxmindError {
  const thrown = asCxmindError(cause);
  const isLate = thrown.code === 'ACTOR_TIMEOUT';
  const why = isLate ? `took longer than ${LOAD_LIMIT_MS / 1000} s` : thrown.message;
  return new CxmindError(code, `${kind}: ${title} does not load: ${why}`, { cause });
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

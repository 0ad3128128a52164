/** The log of a process: one JSON object for each event, written by pino. */
import { once } from 'node:events';
import { mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { pino } from 'pino';
import { CxmindError, refusalText, toWireError } from './errors.ts';
import { printable, secretHider, withoutLongWords } from './printable.ts';

/** Level of an event, from the least to the most serious. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Logger of events: fields first, then the event's name. */
export interface Logger {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
  /** A logger that adds these fields to every event: `child({ actor: 'rollout/0' })`. */
  child(fields: Readonly<Record<string, unknown>>): Logger;
}

/** A logger and its file. Close it, or hold it with `await using`, and nothing is lost. */
export interface Log extends AsyncDisposable {
  readonly logger: Logger;
  /** Writes the rest and closes the file; later events are dropped. */
  close(): Promise<void>;
}

const STANDARD_ERROR = 2;

/**
 * Opens a logger that writes events as one JSON object a line, `{ time, level, …fields, msg }`, without waiting for the
 * disk.
 *
 * Secrets are hidden and long words cut, as `readable` does. An error under `error` is written with its code, detail,
 * stack and causes.
 *
 * @param options.path file to append to, its folders made; standard error when not given
 * @param options.level events below it are dropped; `info` when not given
 * @throws CONFIG_INVALID when the file cannot be opened
 */
export function createLogger(options: { path?: string; level?: LogLevel } = {}): Log {
  const { path, level = 'info' } = options;
  const destination = pino.destination({ fd: open(path), sync: false });
  let isLost = false;
  // An error of writing, as on a full disk, ends the log and not the process.
  destination.on('error', () => {
    isLost = true;
    destination.destroy();
  });
  const hideSecrets = secretHider();
  let closed: Promise<void> | undefined;
  const write = (line: string): void => {
    if (closed === undefined && !isLost)
      destination.write(printable(withoutLongWords(hideSecrets(line))));
  };
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: toWireError },
    },
    { write },
  );
  const close = (): Promise<void> => {
    closed ??= (async () => {
      if (isLost) return;
      const finished = once(destination, 'finish').catch(() => undefined);
      destination.end();
      await finished;
    })();
    return closed;
  };
  return { logger, close, [Symbol.asyncDispose]: close };
}

function open(path: string | undefined): number {
  if (path === undefined) return STANDARD_ERROR;
  try {
    mkdirSync(dirname(path), { recursive: true });
    return openSync(path, 'a');
  } catch (cause) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `log: cannot append to ${path}: ${refusalText(cause)}`,
      { cause },
    );
  }
}

/** The process's streams, and how a command writes to them where nobody reads or the disk is full. */
import { CxmindError } from '../errors.ts';
import { printable } from '../printable.ts';

/** Writes lines for people to standard output. Work goes on where nobody reads them. */
export function say(text: string): void {
  console.log(printable(text));
}

/** Writes a command's result to standard output. @throws IO_FAILED when it cannot be written */
export function print(text: string): Promise<void> {
  return writeWhole(
    (bytes, written) => process.stdout.write(bytes, written),
    `${printable(text)}\n`,
  );
}

/** Streams that a command writes to. */
export interface Streams {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

/** Writes a text, and calls back when that is done or has failed. */
export type Write = (text: string, written: (error?: Error | null) => void) => unknown;

/**
 * Writes a text to standard output and waits until it is there.
 *
 * @throws IO_FAILED when it cannot be written, as to a full disk; a reader that closes the pipe is no failure
 */
export async function writeWhole(write: Write, text: string): Promise<void> {
  const error = await new Promise<Error | null | undefined>((resolve) => write(text, resolve));
  if (!error || ('code' in error && error.code === 'EPIPE')) return;
  throw new CxmindError('IO_FAILED', `cannot write to standard output: ${error.message}`);
}

/**
 * Lets this process outlive its output, be it a closed pipe or a full disk, and ends it in order after an uncaught error.
 *
 * @param onUncaught writes the failure and returns the exit code
 */
export function guardProcess(onUncaught: (thrown: unknown) => number): void {
  for (const stream of [process.stdout, process.stderr]) {
    // oclif's own listener throws every error but that of a closed pipe.
    stream.removeAllListeners('error').on('error', () => undefined);
  }
  process.on('uncaughtException', (thrown) => process.exit(onUncaught(thrown)));
}

/**
 * Leaves standard output to one writer. Text that other code prints there, such as a library, goes to standard error.
 *
 * @returns the writer
 */
export function ownStandardOutput({ stdout, stderr }: Streams = process): Write {
  const write = stdout.write.bind(stdout) as Write;
  stdout.write = stderr.write.bind(stderr);
  return write;
}

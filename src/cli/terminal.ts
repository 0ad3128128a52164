import { CxmindError } from '../errors.ts';
import { printable, readable, shortened } from '../printable.ts';

/** Writes lines for people to standard output; where nobody takes them, the work goes on without. */
export function say(text: string): void {
  console.log(printable(text));
}

/** Writes a message to standard error: a warning, or what ended a command. */
export function complain(message: string): void {
  console.error(shortened(readable(message)));
}

/**
 * Writes what a command was asked for to standard output.
 *
 * @throws IO_FAILED when it cannot be written, as to a full disk; a reader that has seen enough is no failure
 */
export async function print(text: string): Promise<void> {
  const error = await new Promise<Error | null | undefined>((resolve) => {
    process.stdout.write(`${printable(text)}\n`, resolve);
  });
  if (!error || ('code' in error && error.code === 'EPIPE')) return;
  throw new CxmindError('IO_FAILED', `cannot write to standard output: ${error.message}`);
}

/**
 * Lets this process outlive its output: a pipe that was closed, a disk that is full, and whatever a callback throws
 * that nobody waits for is told like any other failure.
 *
 * @param onUncaught tells a failure and gives the exit code to end with
 */
export function guardProcess(onUncaught: (thrown: unknown) => number): void {
  for (const stream of [process.stdout, process.stderr]) {
    // oclif's own throws again whatever is no closed pipe
    stream.removeAllListeners('error').on('error', () => undefined);
  }
  process.on('uncaughtException', (thrown) => process.exit(onUncaught(thrown)));
}

import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { PrefixedLines } from './prefixed-lines.ts';

/** Number of lines of a process that are kept for the report on its failure. */
const keptLines = 20;
/** Longest wait for the end of the output of a process that exited: another process may hold it open. */
const outputGraceMs = 1_000;
/** Time from SIGTERM to SIGKILL. */
const killAfterMs = 2_000;

/** Destination of the output of processes, in whole lines. */
export interface Output {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** End of a process. */
export interface ProcessEnd {
  /** Exit code; 128 plus the signal's number after a signal, 127 for a process that could not be started. */
  readonly code: number;
  /** Last lines of its output, both streams together. */
  readonly lines: readonly string[];
}

/** Command of a process, its first line of input, and the destination of its output. */
export interface NodeProcessOptions {
  /** Program and arguments, which everybody on the host can see. */
  readonly command: readonly string[];
  /** First line of the process's stdin, which then stays open as long as the process shall live. */
  readonly order: string;
  /** Prefix of each line of its output. */
  readonly prefix: string;
  readonly output: Output;
}

/**
 * Process of a launch: the node itself on this host, or the ssh client that leads to it on another.
 *
 * It runs in a process group of its own, so that Ctrl-C reaches it only through `stop`, and so that its children are
 * ended with it. It ends at the end of its stdin, which comes even when this process is killed.
 *
 * Node's `spawn` does it: execa ends a process and not its group, and has no prefixes for lines.
 */
export class NodeProcess {
  /** Resolves once the process is gone, whatever ended it. */
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcess;

  constructor({ command, order, prefix, output }: NodeProcessOptions) {
    const [program, ...args] = command;
    const last: string[] = [];
    const keep = (line: string): void => {
      last.push(line);
      if (last.length > keptLines) last.shift();
    };
    const child = spawn(program!, args, { stdio: 'pipe', detached: true });
    this.#child = child;
    const streams = [
      [child.stdout, new PrefixedLines(prefix, output.stdout, keep)],
      [child.stderr, new PrefixedLines(prefix, output.stderr, keep)],
    ] as const;
    for (const [stream, lines] of streams) {
      stream.on('data', (bytes: Uint8Array) => lines.push(bytes));
    }
    // A process may end before it has read everything. Its exit code tells of that.
    child.stdin.on('error', () => undefined);
    child.stdin.write(order);
    this.ended = endOf(child).then(({ code, error }) => {
      if (error !== undefined) streams[1][1].push(Buffer.from(`${error}\n`));
      for (const [stream, lines] of streams) {
        stream.destroy();
        lines.end();
      }
      return { code, lines: last };
    });
  }

  /**
   * Asks the process to end, by the end of its stdin, and waits until it is gone.
   *
   * @param graceMs time after which SIGTERM is sent, and SIGKILL after that
   */
  async stop(graceMs: number): Promise<void> {
    this.#child.stdin!.end();
    const timers = [
      setTimeout(() => this.#signal('SIGTERM'), graceMs),
      setTimeout(() => this.#signal('SIGKILL'), graceMs + killAfterMs),
    ];
    await this.ended;
    for (const timer of timers) clearTimeout(timer);
  }

  /** Sends a signal to the whole group, so that the children of the process get it too. */
  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The process ended in this moment.
    }
  }
}

/** Waits for the end of a process, and then for the end of its output or of the grace for that. */
async function endOf(child: ChildProcess): Promise<{ code: number; error?: string }> {
  const { promise: closed, resolve: close } = Promise.withResolvers<undefined>();
  child.once('close', () => close(undefined));
  const end = await new Promise<{ code: number; error?: string }>((resolve) => {
    child.once('error', ({ message }) => resolve({ code: 127, error: message }));
    child.once('exit', (status, signal) =>
      resolve({ code: status ?? 128 + constants.signals[signal!] }),
    );
  });
  const timer = setTimeout(() => close(undefined), outputGraceMs);
  await closed;
  clearTimeout(timer);
  return end;
}

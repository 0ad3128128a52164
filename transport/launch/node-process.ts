import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { LastLines, PrefixedLines } from './prefixed-lines.ts';

/** How many lines of a process are kept for the report on its failure. */
const keptLines = 20;
/** How long the output of a process that exited may stay open: somebody else may hold it. */
const outputGraceMs = 1_000;
/** From asking to making it end. */
const killAfterMs = 2_000;

/** Where the output of processes goes, in whole lines. */
export interface Output {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** How a process ended. */
export interface ProcessEnd {
  /** 128 and the signal's number for one that a signal ended, 127 for one that could not be started. */
  readonly code: number;
  /** What it said last, both streams together. */
  readonly lines: readonly string[];
}

export interface NodeProcessOptions {
  /** Program and arguments; they can be seen by everybody on the host. */
  readonly command: readonly string[];
  /** What the process reads first from its stdin, which then stays open as long as it shall live. */
  readonly order: string;
  /** Put before each line of its output. */
  readonly prefix: string;
  readonly output: Output;
}

/**
 * A process of a launch: the node itself on this host, or the ssh client that leads to it on another.
 *
 * It runs in a process group of its own, so that Ctrl-C reaches it only through `stop`; and it is told by the
 * end of its stdin to end, which comes even when this process is killed outright.
 */
export class NodeProcess {
  /** Resolves once it is gone, whatever ended it. */
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcess;

  constructor({ command, order, prefix, output }: NodeProcessOptions) {
    const [program, ...args] = command;
    const last = new LastLines(keptLines);
    const child = spawn(program!, args, { stdio: 'pipe', detached: true });
    this.#child = child;
    const streams = [
      [child.stdout, new PrefixedLines(prefix, output.stdout, last)],
      [child.stderr, new PrefixedLines(prefix, output.stderr, last)],
    ] as const;
    for (const [stream, lines] of streams) {
      stream.on('data', (bytes: Uint8Array) => lines.push(bytes));
    }
    // A process that ends before it has read everything is told of by its exit code.
    child.stdin.on('error', () => undefined);
    child.stdin.write(order);
    this.ended = endOf(child).then(({ code, error }) => {
      if (error !== undefined) streams[1][1].push(Buffer.from(`${error}\n`));
      for (const [stream, lines] of streams) {
        stream.destroy();
        lines.end();
      }
      return { code, lines: last.lines };
    });
  }

  /**
   * Asks the process to end, by the end of its stdin, and waits until it is gone.
   *
   * @param graceMs after which it is made to end, by SIGTERM and then by SIGKILL
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

  /** To the whole group: what the process started goes with it. */
  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It ended in this moment.
    }
  }
}

/** How a process ended, once its output is through or the grace for that is over. */
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

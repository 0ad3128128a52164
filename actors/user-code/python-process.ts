import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { addAbortListener } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import * as t from 'io-ts';
import { asCxmindError, CxmindError, type ErrorCode } from '../../src/errors.ts';
import type { Logger } from '../runtime/actor.ts';
import { EXIT_LIMIT_MS, logPrinted, type CodeNames } from './user-code.ts';

/** Options of a process of Python. */
export interface PythonOptions extends CodeNames {
  /** The interpreter. */
  readonly python: string;
  /** The config key that names it. */
  readonly pythonKey: string;
  /** CPUs that libraries may use. */
  readonly cpus: number;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Lines of what a process printed that are kept for the error when it dies. */
const KEPT_LINES = 20;
/** Wait for the last output of a process whose children hold its streams open. */
const LAST_WORDS_MS = 200;

/** Key of an object that stands for a value that JSON cannot write. */
const MARK = '$cxmind';

/** An object that `host.py` has marked. */
const Marked = t.type({ [MARK]: t.tuple([t.keyof({ bytes: null, float: null }), t.string]) });

/** Reply of `host.py` to a request: a value, a traceback, or a wrong number of values. */
type Answered =
  | { readonly value: unknown }
  | { readonly error: string }
  | { readonly misfit: string };

/**
 * A process of Python that runs a user's code by `host.py`. It leads a process group, which ends with it. Node's `spawn`
 * starts it, as execa ends one process and not a group.
 */
export class PythonProcess {
  readonly #code: ErrorCode;
  readonly #child: Child;
  readonly #ended: Promise<void>;
  readonly #lines: string[] = [];
  #isAlive = true;
  #isEnding = false;
  #onReply: ((reply: unknown) => void) | undefined;
  /** Called with the way in which the process ended, where that is during a request. */
  #onEnd: ((how: string) => void) | undefined;

  constructor({ python, pythonKey, cpus, kind, title, code }: PythonOptions, logger: Logger) {
    this.#code = code;
    this.#child = spawn(python, ['-u', fileURLToPath(new URL('./host.py', import.meta.url))], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { OMP_NUM_THREADS: String(cpus), PYTHONIOENCODING: 'utf-8', ...process.env },
      detached: true,
    });
    const { promise, resolve: end } = Promise.withResolvers<string>();
    this.#ended = promise.then((how) => {
      this.#isAlive = false;
      if (this.#onEnd !== undefined) this.#onEnd(how);
      else if (!this.#isEnding) logger.warn({ why: how }, `${kind} lost`);
    });
    this.#child.once('error', ({ message }) =>
      end(
        `${title} needs ${python}, which does not start (${message}); install Python 3, or name its ` +
          `interpreter with ${pythonKey}`,
      ),
    );
    this.#child.once('exit', (code, killer) => {
      // The next call must not be sent to it, though its last words are still waited for.
      this.#isAlive = false;
      this.#killGroup();
      const printed = (): string =>
        this.#lines.length === 0 ? '' : `, after\n${this.#lines.join('\n')}`;
      const say = (): void => end(`its process ${endingOf(code, killer)}${printed()}`);
      const timer = setTimeout(say, LAST_WORDS_MS);
      this.#child.once('close', () => {
        clearTimeout(timer);
        say();
      });
    });
    // It may be gone before it has read everything; that it is gone is told by its end.
    this.#child.stdin.on('error', () => undefined);
    createInterface(this.#child.stdout).on('line', (line) => this.#take(line));
    logPrinted(this.#child.stderr, logger, kind, (line) => {
      this.#lines.push(line);
      this.#lines.splice(0, this.#lines.length - KEPT_LINES);
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * One request and its reply.
   *
   * @throws the code of the options with the function's traceback, or how the process ended; SHAPE_MISMATCH,
   *   ACTOR_TIMEOUT; the signal's reason
   */
  async ask(request: unknown, limitMs: number, signal: AbortSignal): Promise<unknown> {
    const { promise, resolve: reply, reject } = Promise.withResolvers<unknown>();
    const refuse = (message: string): void => reject(new CxmindError(this.#code, message));
    const timer = setTimeout(
      () => reject(new CxmindError('ACTOR_TIMEOUT', `no answer in ${limitMs} ms`)),
      limitMs,
    );
    this.#onEnd = refuse;
    using _ = addAbortListener(signal, () => reject(asCxmindError(signal.reason)));
    this.#onReply = reply;
    let answer: Answered;
    try {
      this.#child.stdin.write(`${JSON.stringify(request, marked)}\n`);
      answer = (await promise) as Answered;
    } catch (error) {
      await this.#kill();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#onEnd = undefined;
    }
    if ('value' in answer) return answer.value;
    if ('misfit' in answer) throw new CxmindError('SHAPE_MISMATCH', answer.misfit);
    throw new CxmindError(this.#code, `raised\n${answer.error}`);
  }

  /** Ends the process, which may run its exit handlers unless it is in the middle of a call. */
  async end(): Promise<void> {
    this.#isEnding = true;
    this.#child.stdin.end();
    const timer = setTimeout(
      () => this.#killGroup(),
      this.#onEnd === undefined ? EXIT_LIMIT_MS : 0,
    );
    await this.#ended;
    clearTimeout(timer);
  }

  async #kill(): Promise<void> {
    this.#isEnding = true;
    this.#killGroup();
    await this.#ended;
  }

  #killGroup(): void {
    if (this.pid === undefined) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Nobody of it is left.
    }
  }

  #take(line: string): void {
    try {
      this.#onReply?.(JSON.parse(line, restored));
    } catch {
      this.#killGroup();
    }
  }
}

/** Writes a value that JSON cannot write as an object with one key, `MARK`, and texts so that Python can encode them. */
function marked(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  // Before `toJSON` of a buffer.
  const given = this[key];
  if (given instanceof Uint8Array) {
    return { [MARK]: ['bytes', Buffer.from(given).toString('base64')] };
  }
  if (typeof given === 'string') return given.toWellFormed();
  if (typeof given === 'bigint') return { [MARK]: ['int', String(given)] };
  const isWord = typeof given !== 'number' || Number.isFinite(given);
  return isWord ? value : { [MARK]: ['float', String(given)] };
}

/**
 * Reads what `host.py` has marked, and its texts, in which Python may have half a character. A user's own object stays as
 * it is, though it may have the key.
 */
function restored(_: string, value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (!Marked.is(value) || Object.keys(value).length > 1) return value;
  const [kind, text] = value[MARK];
  return kind === 'bytes' ? Buffer.from(text, 'base64') : Number(text.replace('inf', 'Infinity'));
}

/** The end of a process in words. */
function endingOf(code: number | null, killer: NodeJS.Signals | null): string {
  if (killer === 'SIGKILL')
    return 'was killed (SIGKILL), which is also how Linux ends one for want of memory';
  return killer === null ? `ended with code ${code}` : `ended with ${killer}`;
}

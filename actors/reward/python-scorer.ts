import { addAbortListener } from 'node:events';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Answer } from '../../src/data/row.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { outcomeOf, type Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import { checkRewardFile } from '../../src/reward/user-function.ts';
import { decodeValue, encodeValue } from '../../transport/codec.ts';
import type { Logger } from '../runtime/actor.ts';
import {
  EXIT_LIMIT_MS,
  LOAD_LIMIT_MS,
  loadError,
  logPrinted,
  titleOf,
  type FunctionProps,
  type Scorer,
} from './scorer.ts';

/** Props of a Python function's process. */
export interface PythonProps extends FunctionProps {
  /** The interpreter. */
  readonly python: string;
  /** CPUs its libraries may use. */
  readonly cpus: number;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Lines of what a process printed that are kept for the error when it dies. */
const KEPT_LINES = 20;
/** Wait for the last output of a process whose children hold its streams open. */
const LAST_WORDS_MS = 200;

/** A Python function in a process of its own, which is ended where it hangs and started again by the next call. */
export class PythonScorer implements Scorer {
  readonly #props: PythonProps;
  readonly #logger: Logger;
  #process: PythonProcess | undefined;

  constructor(props: PythonProps, logger: Logger) {
    this.#props = props;
    this.#logger = logger;
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#process?.isAlive === true) return;
    const { source, kwargs, rewardType } = this.#props;
    const path = resolve(source.file);
    await checkRewardFile(path);
    const process = new PythonProcess(this.#props, this.#logger);
    this.#process = process;
    const request = { file: path, function: source.name, type: rewardType, kwargs };
    try {
      const title = await process.ask(request, LOAD_LIMIT_MS, signal);
      this.#logger.info(
        { function: titleOf(source), reward: title, pid: process.pid },
        'python reward loaded',
      );
    } catch (thrown) {
      await process.end();
      if (signal.aborted) throw thrown;
      throw loadError(source, thrown);
    }
  }

  async score(
    batch: readonly RewardInput<Answer>[],
    limitMs: number,
    signal: AbortSignal,
  ): Promise<Outcome[]> {
    await this.start(signal);
    const request = batch.map((input) => ({
      response: input.response,
      response_length: input.responseLength,
      ground_truth: input.groundTruth,
      prompt: input.prompt,
      messages: input.messages,
      columns: input.columns,
      response_ids: input.responseIds,
      finish_reason: input.finishReason,
    }));
    const scores = (await this.#process!.ask(request, limitMs, signal)) as readonly PythonScore[];
    return scores.map((one) => ('score' in one ? outcomeOf(one.score) : { problem: one.problem }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.end();
  }
}

/** Reply of `host.py` for one response. */
type PythonScore = { readonly score: unknown } | { readonly problem: string };

/** Reply of `host.py` to a request: a value, a traceback, or a wrong number of scores. */
type Answered =
  { readonly value: unknown } | { readonly error: string } | { readonly misfit: string };

/** One life of the process, which leads a group of its own: what it starts ends with it. */
class PythonProcess {
  readonly #child: Child;
  readonly #ended: Promise<void>;
  readonly #lines: string[] = [];
  #isAlive = true;
  #isEnding = false;
  #received = Buffer.alloc(0);
  #onReply: ((reply: unknown) => void) | undefined;
  /** Hears of its end during a request. */
  #onEnd: ((how: string) => void) | undefined;

  constructor({ python, cpus, source }: PythonProps, logger: Logger) {
    this.#child = spawn(python, ['-u', fileURLToPath(new URL('./host.py', import.meta.url))], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { OMP_NUM_THREADS: String(cpus), PYTHONIOENCODING: 'utf-8', ...process.env },
      detached: true,
    });
    const { promise, resolve: end } = Promise.withResolvers<string>();
    this.#ended = promise.then((how) => {
      this.#isAlive = false;
      if (this.#onEnd !== undefined) this.#onEnd(how);
      else if (!this.#isEnding) logger.warn({ why: how }, 'reward function lost');
    });
    this.#child.once('error', ({ message }) =>
      end(
        `${titleOf(source)} needs ${python}, which does not start (${message}); install Python 3, or name its ` +
          'interpreter with worker.reward.python',
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
    this.#child.stdout.on('data', (data: Buffer) => this.#take(data));
    logPrinted(this.#child.stderr, logger, (line) => {
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
   * @throws REWARD_INVALID with the function's traceback, or how the process ended; SHAPE_MISMATCH, ACTOR_TIMEOUT; the
   *   signal's reason
   */
  async ask(request: unknown, limitMs: number, signal: AbortSignal): Promise<unknown> {
    const { promise, resolve: reply, reject } = Promise.withResolvers<unknown>();
    const refuse = (message: string): void => reject(new CxmindError('REWARD_INVALID', message));
    const timer = setTimeout(
      () => reject(new CxmindError('ACTOR_TIMEOUT', `no answer in ${limitMs} ms`)),
      limitMs,
    );
    this.#onEnd = refuse;
    using _ = addAbortListener(signal, () => reject(asCxmindError(signal.reason)));
    this.#onReply = reply;
    let answer: Answered;
    try {
      const bytes = encodeValue(request);
      const head = Buffer.alloc(4);
      head.writeUInt32BE(bytes.length);
      this.#child.stdin.write(head);
      this.#child.stdin.write(bytes);
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
    throw new CxmindError('REWARD_INVALID', `raised\n${answer.error}`);
  }

  /** Lets it do what it does at exit, unless it is in the middle of a call. */
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

  #take(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data]);
    if (this.#received.length < 4) return;
    const size = this.#received.readUInt32BE();
    if (this.#received.length < 4 + size) return;
    const reply = this.#received.subarray(4, 4 + size);
    this.#received = this.#received.subarray(4 + size);
    let value: unknown;
    try {
      value = decodeValue(reply);
    } catch {
      this.#killGroup();
      return;
    }
    this.#onReply?.(value);
  }
}

/** The end of a process in words. */
function endingOf(code: number | null, killer: NodeJS.Signals | null): string {
  if (killer === 'SIGKILL')
    return 'was killed (SIGKILL), which is also how Linux ends one for want of memory';
  return killer === null ? `ended with code ${code}` : `ended with ${killer}`;
}

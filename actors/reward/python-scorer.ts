import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import * as E from 'fp-ts/lib/Either.js';
import type { Answer } from '../../src/data/answer.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { outcomeOf, type Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import { splitFunctionSpec, type RewardType } from '../../src/reward/user-function.ts';
import { decodeValue, encodeValue } from '../../transport/codec.ts';
import type { Logger } from '../runtime/actor.ts';
import { LOAD_LIMIT_MS, overTime, type Scorer } from './scorer.ts';

/** What a Python function is run with. */
export interface PythonProps {
  /** `./file.py:function`. */
  readonly spec: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** How the function is called where its file does not say it. */
  readonly rewardType: RewardType;
  /** The interpreter. */
  readonly python: string;
  /** CPUs its libraries may use. */
  readonly cpus: number;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Lines of what a process printed that are kept for the error when it dies. */
const KEPT_LINES = 20;

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
    const { spec, kwargs, rewardType } = this.#props;
    const { file, name } = splitFunctionSpec(spec);
    const path = resolve(file);
    if (!existsSync(path)) {
      throw new CxmindError('REWARD_INVALID', `reward function: no such file: ${path}`);
    }
    const process = new PythonProcess(this.#props, this.#logger);
    this.#process = process;
    const request = { file: path, function: name, type: rewardType, kwargs };
    try {
      const title = await process.ask(request, LOAD_LIMIT_MS, signal);
      this.#logger.info(
        { function: spec, reward: title, pid: process.pid },
        'python reward loaded',
      );
    } catch (thrown) {
      const { message } = asCxmindError(thrown);
      throw new CxmindError(
        'REWARD_INVALID',
        `reward function: ${spec} does not load: ${message}`,
        {
          cause: thrown,
        },
      );
    }
  }

  async score(
    batch: readonly RewardInput<Answer>[],
    limitMs: number,
    signal: AbortSignal,
  ): Promise<Outcome[]> {
    await this.start(signal);
    const request = batch.map(({ response, responseLength, groundTruth }) => ({
      response,
      response_length: responseLength,
      ground_truth: groundTruth,
    }));
    const scores = (await this.#process!.ask(request, limitMs, signal)) as readonly PythonScore[];
    if (scores.length !== batch.length) {
      throw new CxmindError(
        'REWARD_INVALID',
        `expected a list of ${batch.length} scores, got ${scores.length}`,
      );
    }
    return scores.map((one) => ('score' in one ? outcomeOf(one.score) : { problem: one.problem }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.end();
  }
}

/** What `host.py` says of one response. */
type PythonScore = { readonly score: unknown } | { readonly problem: string };

/** One life of the process. */
class PythonProcess {
  readonly #child: Child;
  readonly #logger: Logger;
  readonly #ended: Promise<void>;
  readonly #lines: string[] = [];
  #isAlive = true;
  #received = Buffer.alloc(0);
  #onReply: ((reply: unknown) => void) | undefined;
  #onEnd: ((how: string) => void) | undefined;

  constructor({ python, cpus, spec }: PythonProps, logger: Logger) {
    this.#logger = logger;
    this.#child = spawn(python, ['-u', fileURLToPath(new URL('./host.py', import.meta.url))], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { OMP_NUM_THREADS: String(cpus), PYTHONIOENCODING: 'utf-8', ...process.env },
    });
    const { promise, resolve: end } = Promise.withResolvers<string>();
    this.#ended = promise.then((how) => {
      this.#isAlive = false;
      this.#onEnd?.(how);
    });
    this.#child.once('error', ({ message }) =>
      end(
        `${spec} needs ${python}, which does not start (${message}); install Python 3, or name its interpreter ` +
          'with worker.reward.python',
      ),
    );
    this.#child.once('close', (code, killer) => {
      const printed = this.#lines.length === 0 ? '' : `, after\n${this.#lines.join('\n')}`;
      end(`its process ended with ${killer ?? `code ${code}`}${printed}`);
    });
    // It may be gone before it has read everything; that it is gone is told by its end.
    this.#child.stdin.on('error', () => undefined);
    this.#child.stdout.on('data', (data: Buffer) => this.#take(data));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => this.#keep(text));
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @throws REWARD_INVALID with the function's traceback, or how the process ended; the signal's reason */
  async ask(request: unknown, limitMs: number, signal: AbortSignal): Promise<unknown> {
    const { promise, resolve: reply, reject } = Promise.withResolvers<unknown>();
    const refuse = (message: string): void => reject(new CxmindError('REWARD_INVALID', message));
    const onAbort = (): void => reject(asCxmindError(signal.reason));
    const timer = setTimeout(() => refuse(overTime(limitMs)), limitMs);
    this.#onEnd = refuse;
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    this.#onReply = reply;
    let answer: { value: unknown } | { error: string };
    try {
      const bytes = encodeValue(request);
      const head = Buffer.alloc(4);
      head.writeUInt32BE(bytes.length);
      this.#child.stdin.write(head);
      this.#child.stdin.write(bytes);
      answer = (await promise) as { value: unknown } | { error: string };
    } catch (error) {
      await this.end();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
    if ('value' in answer) return answer.value;
    throw new CxmindError('REWARD_INVALID', `raised\n${answer.error}`);
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  #take(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data]);
    if (this.#received.length < 4) return;
    const size = this.#received.readUInt32BE();
    if (this.#received.length < 4 + size) return;
    const decoded = decodeValue(this.#received.subarray(4, 4 + size));
    this.#received = this.#received.subarray(4 + size);
    if (E.isRight(decoded)) this.#onReply?.(decoded.right);
    else this.#child.kill('SIGKILL');
  }

  #keep(text: string): void {
    const lines = text.split('\n').filter((line) => line !== '');
    for (const line of lines) this.#logger.info({ line }, 'reward function printed');
    this.#lines.push(...lines);
    this.#lines.splice(0, this.#lines.length - KEPT_LINES);
  }
}

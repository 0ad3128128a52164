import { addAbortListener } from 'node:events';
import type { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { asCxmindError, CxmindError, fromWireError, type WireError } from '../../src/errors.ts';
import { addressOfModule, entryModule, moduleAt } from './actor-module.ts';

/** Options of a sandbox: its function, the limits on its time, and what hears of its thread. */
export interface SandboxOptions {
  /** Name of the thread, for debuggers and error messages. */
  readonly name: string;
  /** Module that exports, under `create`, an async function from props to the function that is called. */
  readonly module: URL;
  readonly create: string;
  /** Plain data. */
  readonly props: unknown;
  /** Time that making the function may take. */
  readonly startLimitMs: number;
  /** Makes the error of a function that could not be made. */
  readonly startError: (thrown: unknown) => CxmindError;
  /** Time that the exit handlers of an idle thread may take. */
  readonly exitLimitMs: number;
  /** Takes the standard output and the standard error of every thread. */
  readonly onOutput: (stream: Readable) => void;
  /** Called when a thread ended by itself while no call was waiting for it. */
  readonly onLoss: (error: CxmindError) => void;
}

/** Message to the thread: to call its function, or to exit. */
export type SandboxRequest = { readonly call: unknown } | 'exit';

/** Message of the thread: it is ready, or a call has ended. */
export type SandboxReply = { readonly value: unknown } | { readonly error: WireError };

/**
 * A function on a thread of its own that can be ended in the middle of a call.
 *
 * It is for code that may hang, exit or spoil what it shares a thread with. A thread that was lost is started again by
 * the next call.
 */
export class Sandbox implements AsyncDisposable {
  readonly #options: SandboxOptions;
  #thread: Thread | undefined;

  constructor(options: SandboxOptions) {
    this.#options = options;
  }

  /** Makes the function, unless it is there. @throws what `startError` makes; the signal's reason */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#thread?.isAlive === true) return;
    const thread = new Thread(this.#options);
    this.#thread = thread;
    try {
      await thread.reply(this.#options.startLimitMs, signal);
    } catch (thrown) {
      throw signal.aborted ? thrown : this.#options.startError(thrown);
    }
  }

  /**
   * Calls the function. There may be one call at a time.
   *
   * @param message plain data
   * @throws the function's error; ACTOR_TIMEOUT when it took longer than `limitMs` and was ended; ACTOR_CRASHED when
   *   its thread ended; the signal's reason once that is aborted
   */
  async call(message: unknown, limitMs: number, signal: AbortSignal): Promise<unknown> {
    await this.start(signal);
    this.#thread!.post({ call: message });
    return this.#thread!.reply(limitMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread?.end(this.#options.exitLimitMs);
  }
}

/** One thread of a sandbox. */
class Thread {
  readonly #worker: Worker;
  readonly #name: string;
  #isAlive = true;
  #isAwaited = false;
  #isEnding = false;
  /** Error that the code threw outside of any call. */
  #uncaught: CxmindError | undefined;

  constructor({ name, module, create, props, onOutput, onLoss }: SandboxOptions) {
    this.#name = name;
    this.#worker = new Worker(entryModule('sandbox-entry'), {
      name,
      workerData: { module: moduleAt(addressOfModule(module)).href, create, props },
      stdout: true,
      stderr: true,
    });
    onOutput(this.#worker.stdout);
    onOutput(this.#worker.stderr);
    this.#worker.on('error', (error) => (this.#uncaught = asCxmindError(error)));
    this.#worker.once('exit', (code) => {
      this.#isAlive = false;
      if (!this.#isAwaited && !this.#isEnding) onLoss(this.#endError(code));
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  post(request: SandboxRequest): void {
    this.#worker.postMessage(request);
  }

  /** Ends the thread: at once in the middle of a call, else after its exit handlers. */
  async end(limitMs: number): Promise<void> {
    if (!this.#isAlive) return;
    this.#isEnding = true;
    if (!this.#isAwaited) {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      this.#worker.once('exit', resolve);
      const timer = setTimeout(resolve, limitMs);
      this.post('exit');
      await promise;
      clearTimeout(timer);
    }
    await this.#worker.terminate();
  }

  /** Waits for the next message of the thread, and ends a thread that sends none in time. */
  async reply(limitMs: number, signal: AbortSignal): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let isAnswered = false as boolean;
    const onMessage = (reply: SandboxReply): void => {
      isAnswered = true;
      if ('value' in reply) resolve(reply.value);
      else reject(fromWireError(reply.error));
    };
    const onExit = (code: number): void => reject(this.#endError(code));
    const timer = setTimeout(() => {
      const error = new CxmindError('ACTOR_TIMEOUT', `${this.#name}: no answer in ${limitMs} ms`);
      reject(error);
    }, limitMs);
    this.#isAwaited = true;
    this.#worker.on('message', onMessage).on('exit', onExit);
    using _ = addAbortListener(signal, () => reject(asCxmindError(signal.reason)));
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#isAwaited = false;
      this.#worker.off('message', onMessage).off('exit', onExit);
      if (!isAnswered) {
        this.#isEnding = true;
        this.#isAlive = false;
        await this.#worker.terminate();
      }
    }
  }

  #endError(code: number): CxmindError {
    const why = this.#uncaught?.message ?? `exited with code ${code}`;
    return new CxmindError('ACTOR_CRASHED', `${this.#name}: its thread ended: ${why}`);
  }
}

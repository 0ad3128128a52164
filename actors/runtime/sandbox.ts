import type { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { asCxmindError, CxmindError, fromWireError, type WireError } from '../../src/errors.ts';
import { addressOfModule, entryModule, moduleAt } from './module-address.ts';

/** What a thread is made of. */
export interface SandboxOptions {
  /** Of the thread, for debuggers and error messages. */
  readonly name: string;
  /** A module that exports, under `create`, an async function from props to the function that is called. */
  readonly module: URL;
  readonly create: string;
  /** Plain data. */
  readonly props: unknown;
  /** How long making the function may take. */
  readonly startLimitMs: number;
  /** How long an idle thread that is ended may take for its exit handlers. */
  readonly exitLimitMs: number;
  /** Gets the standard output and the standard error of every life of the thread. */
  readonly onOutput: (stream: Readable) => void;
  /** Hears of a thread that ended by itself while nobody was waiting for it. */
  readonly onLoss: (error: CxmindError) => void;
}

/** What the thread is told: to call its function, or to exit. */
export type SandboxRequest = { readonly call: unknown } | 'exit';

/** What the thread says: that it is ready, or how a call ended. */
export type SandboxReply = { readonly value: unknown } | { readonly error: WireError };

/**
 * A function on a thread of its own that can be ended in the middle of a call, whatever it is doing: for code that may
 * hang, exit or spoil what it shares a thread with. A thread that was lost is started again by the next call.
 */
export class Sandbox implements AsyncDisposable {
  readonly #options: SandboxOptions;
  #thread: Thread | undefined;

  constructor(options: SandboxOptions) {
    this.#options = options;
  }

  /** Makes the function, unless it is there. @throws whatever the making threw; ACTOR_TIMEOUT, ACTOR_CRASHED */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#thread?.isAlive === true) return;
    const thread = new Thread(this.#options);
    this.#thread = thread;
    await thread.reply(this.#options.startLimitMs, signal);
  }

  /**
   * Calls the function; one call at a time.
   *
   * @param message plain data
   * @throws what the function threw; ACTOR_TIMEOUT when it took longer than `limitMs` and was ended, ACTOR_CRASHED when
   *   its thread went, the signal's reason when that was aborted
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

/** One life of the thread. */
class Thread {
  readonly #worker: Worker;
  readonly #name: string;
  #isAlive = true;
  #isAwaited = false;
  #isEnding = false;
  /** What the code threw outside of any call. */
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
      if (!this.#isAwaited && !this.#isEnding) onLoss(this.#ending(code));
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  post(request: SandboxRequest): void {
    this.#worker.postMessage(request);
  }

  /** Ends it: at once in the middle of a call, else after its exit handlers. */
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

  #ending(code: number): CxmindError {
    const why = this.#uncaught?.message ?? `exited with code ${code}`;
    return new CxmindError('ACTOR_CRASHED', `${this.#name}: its thread ended: ${why}`);
  }

  /** The next thing it says; a thread that does not say anything in time is ended. */
  async reply(limitMs: number, signal: AbortSignal): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let isAnswered = false as boolean;
    const onMessage = (reply: SandboxReply): void => {
      isAnswered = true;
      if ('value' in reply) resolve(reply.value);
      else reject(fromWireError(reply.error));
    };
    const onExit = (code: number): void => reject(this.#ending(code));
    const onAbort = (): void => reject(asCxmindError(signal.reason));
    const timer = setTimeout(() => {
      const error = new CxmindError('ACTOR_TIMEOUT', `${this.#name}: no answer in ${limitMs} ms`);
      reject(error);
    }, limitMs);
    this.#isAwaited = true;
    this.#worker.on('message', onMessage).on('exit', onExit);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#isAwaited = false;
      this.#worker.off('message', onMessage).off('exit', onExit);
      if (!isAnswered) {
        this.#isEnding = true;
        this.#isAlive = false;
        await this.#worker.terminate();
      }
    }
  }
}

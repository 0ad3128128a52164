import { resolve } from 'node:path';
import type { RewardFile } from '../../src/config/names.ts';
import { checkUserFile } from '../../src/reward/user-file.ts';
import type { Logger } from '../runtime/actor.ts';
import { PythonProcess, type PythonOptions } from './python-process.ts';
import { LOAD_LIMIT_MS, loadError, type UserCode } from './user-code.ts';

/** Options of code in Python. */
export interface PythonCodeOptions<Request> extends PythonOptions {
  readonly source: RewardFile;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** The way in which `host.py` is to call it. */
  readonly type: string;
  /** A request in Python's spelling. */
  readonly spelt: (request: Request) => unknown;
}

/** Code in Python, in a process of its own that is ended where it hangs. */
export class PythonCode<Request> implements UserCode<Request> {
  readonly #options: PythonCodeOptions<Request>;
  readonly #logger: Logger;
  #process: PythonProcess | undefined;

  constructor(options: PythonCodeOptions<Request>, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#process?.isAlive === true) return;
    const { source, kwargs, type, kind, title } = this.#options;
    const file = resolve(source.file);
    await checkUserFile(file, this.#options);
    const process = new PythonProcess(this.#options, this.#logger);
    this.#process = process;
    const request = { file, function: source.name, type, kwargs };
    try {
      const name = await process.ask(request, LOAD_LIMIT_MS, signal);
      this.#logger.info({ code: title, name, pid: process.pid }, `python ${kind} loaded`);
    } catch (thrown) {
      await process.end();
      if (signal.aborted) throw thrown;
      throw loadError(this.#options, thrown);
    }
  }

  async call(request: Request, limitMs: number, signal: AbortSignal): Promise<unknown> {
    await this.start(signal);
    return await this.#process!.ask(this.#options.spelt(request), limitMs, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.end();
  }
}

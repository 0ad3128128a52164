import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Measured } from './harness.ts';

/** The environment variable that names a Python with torch and transformers. */
const PYTHON_VARIABLE = 'CXMIND_PEER_PYTHON';

/**
 * The same work done by somebody else's program: a Python process that answers each line of JSON
 * parameters with a line of JSON values, idle in between.
 */
export class Peer implements AsyncDisposable {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  /**
   * @param script in `peers/`
   * @param options passed to it as one JSON argument
   * @returns undefined, with a line that says how to have it, when no Python is configured
   */
  static start(name: string, script: string, options: unknown): Peer | undefined {
    const python = process.env[PYTHON_VARIABLE];
    if (python !== undefined) return new Peer(name, python, script, options);
    process.stderr.write(
      `${name}: not measured; set ${PYTHON_VARIABLE} to a Python with torch and transformers\n`,
    );
    return undefined;
  }

  private constructor(name: string, python: string, script: string, options: unknown) {
    const file = fileURLToPath(new URL(`peers/${script}`, import.meta.url));
    this.name = name;
    this.#process = spawn(python, [file, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#process.stdout! });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** One call with these parameters; values by part. */
  async measure(params: unknown): Promise<Measured> {
    this.#process.stdin!.write(`${JSON.stringify(params)}\n`);
    const answer = await this.#answers.next();
    if (answer.done === true) throw new Error(`${this.name}: the peer process ended`);
    return JSON.parse(answer.value) as Measured;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.stdin!.end();
    await ended;
    this.#lines.close();
  }
}

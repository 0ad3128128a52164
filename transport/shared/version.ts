import { addAbortListener } from 'node:events';
import { CxmindError } from '../../src/errors.ts';
import { changeOf } from './wait.ts';
import { ThreadWords, type SharedWords } from './words.ts';

/** Bytes of a version's memory: one word, with a cache line to itself. */
export const versionBytes = 64;

/**
 * Version of a block of memory that one thread writes now and then and others read.
 *
 * | word | holds                                                          |
 * | ---- | -------------------------------------------------------------- |
 * | 0    | i32 from 1; 0 before the first write, and while a write goes on |
 */
export class SharedVersion {
  readonly #words: SharedWords;

  /** @param memory `versionBytes`, all zero before the first write */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new ThreadWords(new Int32Array(memory));
  }

  get current(): number {
    return this.#words.load(0);
  }

  set current(version: number) {
    this.#words.store(0, version);
    this.#words.notify(0);
  }

  /**
   * Resolves once the block has the version.
   *
   * @throws RUNTIME_CANCELLED when the block has a later version, or the signal's reason
   */
  async reach(version: number, signal: AbortSignal): Promise<void> {
    // This wakes other readers too. They look and go on sleeping.
    using _ = addAbortListener(signal, () => this.#words.notify(0));
    for (let now = this.current; now !== version; now = this.current) {
      if (now > version) throw notAt(version, now);
      await changeOf(this.#words, 0, now, () => signal.reason as Error | undefined);
    }
  }

  /** Checks the version. @throws RUNTIME_CANCELLED when the block has another one, or is being written */
  assert(version: number): void {
    const now = this.current;
    if (now !== version) throw notAt(version, now);
  }
}

function notAt(wanted: number, now: number): CxmindError {
  const found = now === 0 ? 'it is being written, or never was' : `it is at version ${now}`;
  return new CxmindError('RUNTIME_CANCELLED', `the block is not at version ${wanted}: ${found}`);
}

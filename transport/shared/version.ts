import { CxmindError } from '../../src/errors.ts';

/** Bytes of a version's memory: one word, on a cache line of its own. */
export const versionBytes = 64;

/**
 * The version of a block of memory that one writes now and then and many read, on threads of one process.
 *
 * | word | holds                                                              |
 * | ---- | ------------------------------------------------------------------ |
 * | 0    | i32, from 1; 0 while the block is written, and before it first was |
 */
export class SharedVersion {
  readonly #words: Int32Array;

  /** @param memory `versionBytes`, zero before the block was first written */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  get current(): number {
    return Atomics.load(this.#words, 0);
  }

  set current(version: number) {
    Atomics.store(this.#words, 0, version);
    Atomics.notify(this.#words, 0);
  }

  /**
   * Resolves once the block has the version; who waits sleeps.
   *
   * @throws RUNTIME_CANCELLED when it has gone past it, or the signal's reason
   */
  async reach(version: number, signal: AbortSignal): Promise<void> {
    // Wakes others too, who look and go on sleeping.
    const wake = (): void => void Atomics.notify(this.#words, 0);
    signal.addEventListener('abort', wake);
    try {
      for (let now = this.current; now !== version; now = this.current) {
        signal.throwIfAborted();
        if (now > version) throw movedOn(version, now);
        const waiting = Atomics.waitAsync(this.#words, 0, now);
        if (waiting.async) await waiting.value;
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  /** @throws RUNTIME_CANCELLED when the block has another version, or is being written */
  assert(version: number): void {
    const now = this.current;
    if (now !== version) throw movedOn(version, now);
  }
}

function movedOn(wanted: number, now: number): CxmindError {
  const found = now === 0 ? 'the next is being written' : `the next, ${now}, is here`;
  return new CxmindError('RUNTIME_CANCELLED', `version ${wanted} is no more: ${found}`);
}

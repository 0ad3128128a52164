import { addAbortListener } from 'node:events';
import { CxmindError } from '../../src/errors.ts';
import { waitForChange } from './wait.ts';
import { SharedWords } from './words.ts';

/** Bytes of a version's memory: one word, with a cache line to itself. */
export const VERSION_BYTES = 64;

/**
 * Version of a block of memory that one thread writes now and then and others read: a seqlock whose numbers the writer
 * gives, each higher than the one before.
 *
 * The writer frames each write by two calls, and a reader names the version it wants:
 *
 *     // writer                        // reader
 *     version.beginWrite();            await version.reach(7, signal);  // waits until the block has version 7
 *     block.set(numbers);              const result = compute(block);   // may see a write that began meanwhile
 *     version.publish(7);              version.confirm(7);              // throws in that case: drop the result
 *
 * Accesses of the block must stay between these calls. Two of them need more than a load or a store for that, on
 * processors that reorder: behind the store of `beginWrite`, writes of the block could move before it, and reads before the
 * load of `confirm` could move behind it. An addition, which loads and stores in one, holds both in their places (Boehm,
 * "Can seqlocks get along with programming language memory models?", MSPC 2012).
 *
 * | word | holds                                                                     |
 * | ---- | ------------------------------------------------------------------------- |
 * | 0    | i32, the version from 1; 0 while the block may not be read: before its    |
 * |      | first write, and during each                                              |
 */
export class SharedVersion {
  readonly #words: SharedWords;

  /** @param memory `VERSION_BYTES`, all zero before the first write */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new SharedWords(new Int32Array(memory));
  }

  /** The version now; 0 while the block may not be read. */
  get current(): number {
    return this.#words.load(0);
  }

  /** Tells readers that the block may not be read. Called before the first write to the block. */
  beginWrite(): void {
    // Gives 0, since nobody else writes the word.
    this.#words.add(0, -this.current);
    this.#words.notify(0);
  }

  /** Tells readers that the block is written. */
  publish(version: number): void {
    this.#words.store(0, version);
    this.#words.notify(0);
  }

  /**
   * Resolves once the block has the version.
   *
   * @throws RUNTIME_CANCELLED when the block has a later version already, so that this one never comes; the signal's
   *   reason when it aborts
   */
  async reach(version: number, signal: AbortSignal): Promise<void> {
    // The abort ends the sleep in `waitForChange`. Other readers wake too, find no change, and go on sleeping.
    using _ = addAbortListener(signal, () => this.#words.notify(0));
    for (let now = this.current; now !== version; now = this.current) {
      if (now > version) throw notAt(version, now);
      await waitForChange(this.#words, 0, now, () =>
        signal.aborted ? (signal.reason as Error) : undefined,
      );
    }
  }

  /**
   * Checks, after the block was read, that it had the version all the time.
   *
   * @throws RUNTIME_CANCELLED when the block has another version, or is being written
   */
  confirm(version: number): void {
    const now = this.#words.add(0, 0);
    if (now !== version) throw notAt(version, now);
  }
}

function notAt(wanted: number, now: number): CxmindError {
  const found = now === 0 ? 'it is being written, or never was' : `it is at version ${now}`;
  // The code is that of cancelled work, since whoever still wants a version that is gone is too late.
  return new CxmindError('RUNTIME_CANCELLED', `the block is not at version ${wanted}: ${found}`);
}

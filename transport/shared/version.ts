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
 * Accesses of the block must stay between these calls, also on processors that reorder memory accesses:
 *
 * - A store in `beginWrite` would let later writes of the block move up, before it.
 * - A load in `confirm` would let earlier reads of the block move down, behind it.
 *
 * So both add to the word instead. An addition loads and stores in one, and nothing moves across it (Boehm, "Can seqlocks
 * get along with programming language memory models?", MSPC 2012).
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
    // Leaves 0 in the word, since nobody else writes it. Readers need not wake for it: they wait for a version.
    this.#words.add(0, -this.current);
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
    const now = this.#words.add(0, 0); // a load that nothing moves across
    if (now !== version) throw notAt(version, now);
  }
}

function notAt(wanted: number, now: number): CxmindError {
  const found = now === 0 ? 'it is being written, or never was' : `it is at version ${now}`;
  // The code is that of cancelled work, since whoever still wants a version that is gone is too late.
  return new CxmindError('RUNTIME_CANCELLED', `the block is not at version ${wanted}: ${found}`);
}

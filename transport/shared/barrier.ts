import { changeOf, type Look } from './wait.ts';
import type { SharedWords } from './words.ts';

/** Number of words in a barrier. Each of the two that it uses has a cache line to itself. */
export const BARRIER_WORDS = 32;

/**
 * Barrier of `size` threads or processes, which may be passed any number of times.
 *
 * | word | holds                                               |
 * | ---- | --------------------------------------------------- |
 * | 0    | number of arrivals since the barrier last opened    |
 * | 16   | number of times it has opened; all wait on this one |
 */
export class SharedBarrier {
  readonly #words: SharedWords;
  readonly #arrived: number;
  readonly #opened: number;
  readonly #size: number;
  #failure: Error | undefined;

  /** @param at index of the first word; all `BARRIER_WORDS` were zero before the first arrival */
  constructor(words: SharedWords, at: number, size: number) {
    this.#words = words;
    this.#arrived = at;
    this.#opened = at + 16;
    this.#size = size;
  }

  /**
   * Resolves when all have arrived.
   *
   * An arrival stays counted when `look` ends the wait, because the others may have seen it. So this end of the barrier
   * is of no use after that, and rejects with the same reason for ever.
   */
  async arrive(look: Look): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const before = this.#words.load(this.#opened);
    if (this.#words.add(this.#arrived, 1) + 1 === this.#size) {
      this.#words.store(this.#arrived, 0);
      this.#words.add(this.#opened, 1);
      this.#words.notify(this.#opened);
      return;
    }
    try {
      await changeOf(this.#words, this.#opened, before, look);
    } catch (error) {
      this.#failure = error as Error;
      throw error;
    }
  }

  /** Makes everybody who waits look for a reason to give up. */
  wake(): void {
    this.#words.notify(this.#opened);
  }
}

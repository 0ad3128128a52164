import { waitForChange, type FindFailure } from './wait.ts';
import type { SharedWords } from './words.ts';

/** Number of 32-bit words in a cache line of 64 bytes. */
const CACHE_LINE_WORDS = 16;

/** Indexes of the two words. */
const ARRIVALS = 0;
const OPENINGS = CACHE_LINE_WORDS;

/** Number of words in a barrier. It uses two, each on a cache line of its own. */
export const BARRIER_WORDS = 2 * CACHE_LINE_WORDS;

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
  readonly #size: number;

  /** @param words the first `BARRIER_WORDS` of them must be zero before the first arrival */
  constructor(words: SharedWords, size: number) {
    this.#words = words;
    this.#size = size;
  }

  /**
   * Resolves when all have arrived.
   *
   * Rejects with the failure that `findFailure` gives, after which the owner drops the barrier. The arrival stays counted,
   * because others may have seen it already. They pass this time, and find the failure at their next arrival.
   */
  async arrive(findFailure: FindFailure): Promise<void> {
    // Before the arrival: the last one to arrive may open the barrier right after it.
    const before = this.#words.load(OPENINGS);
    if (this.#words.add(ARRIVALS, 1) + 1 === this.#size) {
      // Before the barrier opens: whoever leaves may arrive again at once.
      this.#words.store(ARRIVALS, 0);
      this.#words.add(OPENINGS, 1);
      this.#words.notify(OPENINGS);
      return;
    }
    await waitForChange(this.#words, OPENINGS, before, findFailure);
  }

  /** Makes everybody who waits here look for a failure at once. */
  wake(): void {
    this.#words.notify(OPENINGS);
  }
}

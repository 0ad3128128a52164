import type { SharedWords } from './words.ts';

/** Words that a barrier takes: each of its two stands on a cache line of its own. */
export const BARRIER_WORDS = 32;

/** Says why waiting is in vain, if it is; once the wait `isLate`, a look that takes time is worth it. */
export type Look = (isLate: boolean) => Error | undefined;

/** Longest sleep between two looks. A wait that took more than half of it was not ended by a notification. */
const LOOK_UP_MS = 200;

/**
 * Where `size` threads or processes wait for each other, again and again.
 *
 * | word | holds                                             |
 * | ---- | ------------------------------------------------- |
 * | 0    | how many arrived since the barrier last opened     |
 * | 16   | how often it has opened; the word that all wait on |
 */
export class SharedBarrier {
  readonly #words: SharedWords;
  readonly #arrived: number;
  readonly #opened: number;
  readonly #size: number;
  #failure: Error | undefined;

  /** @param at index of its first word; all `BARRIER_WORDS` were zero when the first one arrived */
  constructor(words: SharedWords, at: number, size: number) {
    this.#words = words;
    this.#arrived = at;
    this.#opened = at + 16;
    this.#size = size;
  }

  /**
   * Resolves when all have arrived.
   *
   * An arrival stays counted when the wait for the others was in vain, as they may have seen it; so this end of
   * the barrier is of no use after that, and rejects with the same reason for ever.
   *
   * @param look why waiting is in vain
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
      while (this.#words.load(this.#opened) === before) {
        await waitOrLook(this.#words, this.#opened, before, look);
      }
    } catch (error) {
      this.#failure = error as Error;
      throw error;
    }
  }

  /** Makes whoever waits look up. */
  wake(): void {
    this.#words.notify(this.#opened);
  }
}

/**
 * Waits until a word may differ from `value`, looking up now and then: a peer that dies says nothing, nor does one
 * that dies between its change of the word and its notification.
 *
 * @throws what `look` says, unless the word has changed by then: a peer may well leave after its last change
 */
export async function waitOrLook(
  words: SharedWords,
  index: number,
  value: number,
  look: Look,
): Promise<void> {
  const lookUp = (isLate: boolean): void => {
    const reason = look(isLate);
    if (reason !== undefined && words.load(index) === value) throw reason;
  };
  lookUp(false);
  const start = performance.now();
  await words.wait(index, value, LOOK_UP_MS);
  lookUp(performance.now() - start >= LOOK_UP_MS / 2);
}

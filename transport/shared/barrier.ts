import type { SharedWords } from './words.ts';

/** Words that a barrier takes: each of its two stands on a cache line of its own. */
export const BARRIER_WORDS = 32;

/** Why waiting is in vain, if it is; `isLate` says that a dear look is worth it by now. */
export type Look = (isLate: boolean) => Error | undefined;

/** How long to sleep before asking whether whom we wait for still lives. */
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
   * @param look why waiting is in vain
   */
  async arrive(look: Look): Promise<void> {
    const before = this.#words.load(this.#opened);
    if (this.#words.add(this.#arrived, 1) + 1 === this.#size) {
      this.#words.store(this.#arrived, 0);
      this.#words.add(this.#opened, 1);
      this.#words.notify(this.#opened);
      return;
    }
    while (this.#words.load(this.#opened) === before) {
      await waitOrLook(this.#words, this.#opened, before, look);
    }
  }

  /** Makes whoever waits look up. */
  wake(): void {
    this.#words.notify(this.#opened);
  }
}

/**
 * Waits until a word may differ from `value`, looking up now and then.
 *
 * @throws what `look` says, if the word still has not changed by then: who changes it and then leaves is not
 * missed
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

import type { SharedWords } from './words.ts';

/**
 * Looks for a reason why waiting is in vain, and returns it as an error, which ends the wait; undefined while there is none.
 * It is called before each sleep.
 *
 * @param isLate true after a sleep that nobody ended, when a look that takes time is worth it
 */
export type Look = (isLate: boolean) => Error | undefined;

/** Longest sleep between two looks. */
const sleepMs = 200;

/**
 * Resolves when a word no longer holds `value`: the one rule by which threads and processes wait for each other.
 *
 * No sleep is longer than 200 ms, and there is a look after each. A peer that dies says nothing, nor does one that dies
 * between its change of the word and its notification.
 *
 * @throws the reason that `look` finds, unless the word has changed by then: a peer may leave after its last change
 */
export async function waitForChange(
  words: SharedWords,
  index: number,
  value: number,
  look: Look,
): Promise<void> {
  for (let isLate = false; ;) {
    const reason = look(isLate);
    if (words.load(index) !== value) return;
    if (reason !== undefined) throw reason;
    const start = performance.now();
    await words.wait(index, value, sleepMs);
    // A sleep that took most of its time was not ended by a notification.
    isLate = performance.now() - start >= sleepMs / 2;
  }
}

import type { SharedWords } from './words.ts';

/**
 * Finds the reason why waiting is in vain, such as a dead peer, which ends the wait as an error; undefined while there is
 * none. It is called before each sleep.
 *
 * @param isLate true after a sleep that nobody ended, when a search that takes time is worth it
 */
export type FindFailure = (isLate: boolean) => Error | undefined;

/** Longest sleep. */
const sleepMs = 200;

/**
 * Resolves when a word no longer holds `value`: the one rule by which threads and processes wait for each other.
 *
 * No sleep is longer than 200 ms, and failures are looked for after each. A peer that dies says nothing, nor does one
 * that dies between its change of the word and its notification.
 *
 * @throws the failure that is found, unless the word has changed by then: a peer may leave after its last change
 */
export async function waitForChange(
  words: SharedWords,
  index: number,
  value: number,
  findFailure: FindFailure,
): Promise<void> {
  for (let isLate = false; ;) {
    const failure = findFailure(isLate);
    if (words.load(index) !== value) return;
    if (failure !== undefined) throw failure;
    const start = performance.now();
    await words.wait(index, value, sleepMs);
    // A sleep that took most of its time was not ended by a notification.
    isLate = performance.now() - start >= sleepMs / 2;
  }
}

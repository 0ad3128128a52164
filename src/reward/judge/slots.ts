import { addAbortListener } from 'node:events';

/** Semaphore: a fixed number of slots for work. Work that finds none free waits in order. */
export class Slots {
  #free: number;
  readonly #waiting: Set<() => void> = new Set();

  constructor(count: number) {
    this.#free = count;
  }

  /** Works in a slot once one is free. @throws the signal's reason while it waits */
  async with<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers();
    const enter = (): void => resolve(undefined);
    this.#waiting.add(enter);
    using _ = addAbortListener(signal, () => {
      this.#waiting.delete(enter);
      reject(signal.reason as Error);
    });
    await promise;
  }

  /** Gives the slot to the next work that waits. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

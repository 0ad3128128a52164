/** 32-bit words that threads of one process share. They are read and written atomically, and waited on. */
export class SharedWords {
  protected readonly words: Int32Array;

  /** @param words on memory that all of them have mapped */
  constructor(words: Int32Array) {
    this.words = words;
  }

  load(index: number): number {
    return Atomics.load(this.words, index);
  }

  store(index: number, value: number): void {
    Atomics.store(this.words, index, value);
  }

  /** Adds, wrapping at 32 bits, and returns the value before. */
  add(index: number, value: number): number {
    return Atomics.add(this.words, index, value);
  }

  /** Resolves when the word was notified or differs from `value`, at the latest after `timeoutMs`. Does not poll. */
  async wait(index: number, value: number, timeoutMs: number): Promise<void> {
    const waiting = Atomics.waitAsync(this.words, index, value, timeoutMs);
    if (!waiting.async) return;
    // Node would end a thread that has nothing else to wait for.
    const alive = setTimeout(() => undefined, timeoutMs);
    try {
      await waiting.value;
    } finally {
      clearTimeout(alive);
    }
  }

  /** Wakes everybody who waits on the word. */
  notify(index: number): void {
    Atomics.notify(this.words, index);
  }
}

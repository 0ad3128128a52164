/**
 * 32-bit words that several threads, or several processes, see: read and written as one, and waited on.
 * Who waits sleeps; nothing here polls.
 */
export interface SharedWords {
  load(index: number): number;
  store(index: number, value: number): void;
  /** Adds, wrapping at 32 bits; what the word held before. */
  add(index: number, value: number): number;
  /** Resolves when the word was notified or differs from `value`, at the latest after `timeoutMs`. */
  wait(index: number, value: number, timeoutMs: number): Promise<void>;
  /** Wakes everybody who waits on the word. */
  notify(index: number): void;
}

/** Words of threads of one process. */
export class ThreadWords implements SharedWords {
  protected readonly words: Int32Array;

  /** @param words on a SharedArrayBuffer */
  constructor(words: Int32Array) {
    this.words = words;
  }

  load(index: number): number {
    return Atomics.load(this.words, index);
  }

  store(index: number, value: number): void {
    Atomics.store(this.words, index, value);
  }

  add(index: number, value: number): number {
    return Atomics.add(this.words, index, value);
  }

  async wait(index: number, value: number, timeoutMs: number): Promise<void> {
    const waiting = Atomics.waitAsync(this.words, index, value, timeoutMs);
    if (!waiting.async) return;
    // A thread with nothing but `waitAsync` to wait for would end.
    const alive = setTimeout(() => undefined, timeoutMs);
    try {
      await waiting.value;
    } finally {
      clearTimeout(alive);
    }
  }

  notify(index: number): void {
    Atomics.notify(this.words, index);
  }
}

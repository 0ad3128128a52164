/** Work of views that later work replaces. */
import { tellError } from './toasts.ts';

/** Work of which the newest alone counts: starting it anew aborts what still runs. */
export class Latest {
  #current = new AbortController();

  /** Starts work, and tells the reader of its error, unless it is aborted. */
  start(work: (signal: AbortSignal) => Promise<void>): void {
    const signal = this.renew();
    work(signal).catch((error: unknown) => {
      if (!signal.aborted) tellError(error);
    });
  }

  /** Aborts what still runs. @returns the signal of what comes in its place */
  renew(): AbortSignal {
    this.#current.abort();
    this.#current = new AbortController();
    return this.#current.signal;
  }
}

/** Calls a function soon after it was asked for, and at most once in a span of time. */
export class Throttle {
  readonly #act: () => void;
  readonly #spanMs: number;
  #timer: number | null = null;
  #last = -Infinity;

  constructor(act: () => void, spanMs: number) {
    this.#act = act;
    this.#spanMs = spanMs;
  }

  ask(): void {
    if (this.#timer !== null) return;
    const wait = Math.max(0, this.#last + this.#spanMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#last = performance.now();
      this.#act();
    }, wait);
  }
}

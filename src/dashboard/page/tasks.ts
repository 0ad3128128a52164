/** Work that is asked for again and again: the newest replaces the others, or it runs at most once in a while. */
import { tellError } from './toasts.ts';

/** Runs the newest work alone: starting work aborts the work before it. */
export class Latest {
  #current = new AbortController();

  /** Starts work, and tells the reader of its error, unless it is aborted. */
  start(work: (signal: AbortSignal) => Promise<void>): void {
    const signal = this.renew();
    work(signal).catch((error: unknown) => {
      if (!signal.aborted) tellError(error);
    });
  }

  /** Aborts the work that still runs. @returns the signal of the next work */
  renew(): AbortSignal {
    this.#current.abort();
    this.#current = new AbortController();
    return this.#current.signal;
  }
}

/** Calls a function soon after it was asked for, and at most once in `spanMs`. */
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

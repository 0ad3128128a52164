import type { Timeline } from './timeline.ts';

/** Seconds by phase, from the moment it is made. */
export class Stopwatch {
  readonly #started = performance.now();
  readonly #seconds: Record<string, number> = {};
  readonly #timeline: Timeline | null;

  /** @param timeline where every phase is drawn too */
  constructor(timeline: Timeline | null = null) {
    this.#timeline = timeline;
  }

  async time<T>(phase: string, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.#add(phase, started);
    }
  }

  timeSync<T>(phase: string, work: () => T): T {
    const started = performance.now();
    const result = work();
    this.#add(phase, started);
    return result;
  }

  /** The phases so far. */
  get seconds(): Readonly<Record<string, number>> {
    return { ...this.#seconds };
  }

  /** All phases, and the whole under the given name. */
  stop(whole: string): Readonly<Record<string, number>> {
    this.#add(whole, this.#started);
    return { ...this.#seconds };
  }

  #add(phase: string, started: number): void {
    const ended = performance.now();
    this.#seconds[phase] = (this.#seconds[phase] ?? 0) + (ended - started) / 1000;
    this.#timeline?.add(phase, started, ended);
  }
}

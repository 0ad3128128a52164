/** Seconds by phase, from the moment it is made. */
export class Stopwatch {
  readonly #started = performance.now();
  readonly #seconds: Record<string, number> = {};

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

  /** All phases, and the whole under the given name. */
  stop(whole: string): Readonly<Record<string, number>> {
    this.#add(whole, this.#started);
    return { ...this.#seconds };
  }

  #add(phase: string, started: number): void {
    this.#seconds[phase] = (this.#seconds[phase] ?? 0) + (performance.now() - started) / 1000;
  }
}

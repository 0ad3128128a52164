import type { Phase, PhaseSeconds } from '../../src/metrics.ts';
import type { Timeline } from './timeline.ts';

/** Seconds by phase, from the moment it is made. */
export class Stopwatch {
  readonly #started = performance.now();
  readonly #seconds: Partial<Record<Phase, number>> = {};
  readonly #timeline: Timeline | null;

  /** @param timeline where every phase is drawn too */
  constructor(timeline: Timeline | null = null) {
    this.#timeline = timeline;
  }

  async time<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.#add(phase, started);
    }
  }

  timeSync<T>(phase: Phase, work: () => T): T {
    const started = performance.now();
    const result = work();
    this.#add(phase, started);
    return result;
  }

  /** The phases so far. */
  get seconds(): PhaseSeconds {
    return { ...this.#seconds };
  }

  /** All phases of a step, and the whole of it. */
  stopStep(): PhaseSeconds & { readonly step: number } {
    const step = this.#add('step', this.#started);
    return { ...this.#seconds, step };
  }

  /** Adds what a phase took, and says how much it has taken so far. */
  #add(phase: Phase, started: number): number {
    const ended = performance.now();
    this.#timeline?.add(phase, started, ended);
    return (this.#seconds[phase] = (this.#seconds[phase] ?? 0) + (ended - started) / 1000);
  }
}

import { writeTrace, type Span, type TraceProcess } from './trace.ts';

/** The phases of a run over time: phases of a step lie below it. */
export class Timeline {
  readonly #spans: Span[] = [];
  #step = 0;

  /** The step that what follows belongs to. */
  set step(step: number) {
    this.#step = step;
  }

  /** Adds a phase; times as `performance.now()` gives them. */
  add(phase: string, startedMs: number, endedMs: number): void {
    this.#spans.push({
      name: phase,
      startUs: (performance.timeOrigin + startedMs) * 1000,
      durationUs: (endedMs - startedMs) * 1000,
      step: this.#step,
    });
  }

  /** The phases that began after a moment, in microseconds since the epoch, as a trace draws them. */
  process(sinceUs: number): TraceProcess {
    const spans = this.#spans.filter(({ startUs }) => startUs >= sinceUs);
    return { name: 'cxmind', threads: new Map([['trainer', spans]]) };
  }

  /** Writes all of it in Chrome's trace format. */
  write(file: string): Promise<void> {
    return writeTrace(file, [this.process(0)]);
  }
}

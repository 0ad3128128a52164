/** Times of a run: the clock of a step's phases, the timeline of all phases, and traces in Chrome's format. */
import type { OpenPhase } from '../../../src/dashboard/run-files.ts';
import { writeFileAtomically } from '../../../src/files.ts';
import { sumMetrics, type Phase, type PhaseSeconds } from '../../../src/metrics.ts';

/** A clock of phases, started when it is made. */
export class Stopwatch {
  readonly #started = performance.now();
  readonly #seconds: Partial<Record<Phase, number>> = {};
  readonly #timeline: Timeline | null;
  readonly #place: Partial<SpanPlace>;
  readonly #others: Stopwatch[] = [];

  /**
   * @param timeline draws every phase too
   * @param place    where it draws them, if not in the trainer's current step
   */
  constructor(timeline: Timeline | null = null, place: Partial<SpanPlace> = {}) {
    this.#timeline = timeline;
    this.#place = place;
  }

  /** Counts the phases of another clock as its own. */
  include(other: Stopwatch): void {
    this.#others.push(other);
  }

  async time<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    using _ = this.#timeline?.open(phase);
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

  /** Seconds of the phases so far. */
  get seconds(): PhaseSeconds {
    return sumMetrics([this.#seconds, ...this.#others.map((other) => other.seconds)]);
  }

  /** Ends the step; returns the seconds of its phases and of the whole. */
  stopStep(): PhaseSeconds & { readonly step: number } {
    const step = this.#add('step', this.#started);
    return { ...this.seconds, step };
  }

  /** Adds the time of a phase; returns all that it has taken so far. */
  #add(phase: Phase, started: number): number {
    const ended = performance.now();
    this.#timeline?.add(phase, started, ended, this.#place);
    return (this.#seconds[phase] = (this.#seconds[phase] ?? 0) + (ended - started) / 1000);
  }
}

/** The place of a phase in a drawing: its step, and the lane of what runs beside other phases. */
interface SpanPlace {
  readonly step: number;
  readonly lane: string;
}

type PlacedSpan = Span & SpanPlace;

/** The phases of a run over time, each with its step. Those of earlier steps are forgotten unless they are to be kept. */
export class Timeline {
  readonly #open = new Set<OpenPhase>();
  #spans: PlacedSpan[] = [];
  /** Spans that `take` gave out. */
  #taken = 0;
  #step = 0;
  #isKept = false;

  /** The step that later phases belong to. */
  set step(step: number) {
    this.#step = step;
  }

  /** Phases that go on now, outer ones first. */
  get openPhases(): OpenPhase[] {
    return [...this.#open];
  }

  /** Keeps all phases from now on, to be written in the end. */
  keep(): void {
    this.#isKept = true;
  }

  /** Begins a phase that `openPhases` has until it is disposed of. */
  open(name: string): Disposable {
    const phase = { name, since: Date.now() };
    this.#open.add(phase);
    return { [Symbol.dispose]: () => void this.#open.delete(phase) };
  }

  /** Gives out the phases that have ended since the last call. */
  take(): PlacedSpan[] {
    const fresh = this.#spans.slice(this.#taken);
    if (!this.#isKept) this.#spans = [];
    this.#taken = this.#spans.length;
    return fresh;
  }

  /** Adds a phase; times are those of `performance.now()`. */
  add(phase: string, startedMs: number, endedMs: number, place: Partial<SpanPlace> = {}): void {
    this.#spans.push({
      name: phase,
      startUs: (performance.timeOrigin + startedMs) * 1000,
      durationUs: (endedMs - startedMs) * 1000,
      step: this.#step,
      lane: 'trainer',
      ...place,
    });
  }

  /** The phases since a moment, in microseconds since the epoch, as a process of a trace. */
  process(sinceUs: number): TraceProcess {
    const spans = this.#spans.filter(({ startUs }) => startUs >= sinceUs);
    return { name: 'cxmind', threads: Map.groupBy(spans, ({ lane }) => lane) };
  }

  /** Writes all phases as a trace. */
  write(file: string): Promise<void> {
    return writeTrace(file, [this.process(0)]);
  }
}

/** A span of time, in microseconds since the epoch. */
interface Span {
  readonly name: string;
  readonly startUs: number;
  readonly durationUs: number;
  readonly step?: number;
}

/** A process of a trace: its spans by the thread that they are drawn on. */
export interface TraceProcess {
  readonly name: string;
  readonly threads: ReadonlyMap<string, readonly Span[]>;
}

/** Writes spans in Chrome's trace format, as a JSON array of events that `chrome://tracing` and Perfetto show. */
export async function writeTrace(file: string, processes: readonly TraceProcess[]): Promise<void> {
  const events = processes.flatMap(({ name, threads }, pid) => [
    { name: 'process_name', ph: 'M', pid, tid: 0, args: { name } },
    ...[...threads].flatMap(([thread, spans], tid) => [
      { name: 'thread_name', ph: 'M', pid, tid, args: { name: thread } },
      ...spans.map((span) => eventOf(span, thread, { pid, tid })),
    ]),
  ]);
  const lines = events.map((event) => JSON.stringify(event));
  await writeFileAtomically(file, `[\n${lines.join(',\n')}\n]\n`);
}

/** A complete event of the format. */
function eventOf(
  { name, startUs, durationUs, step }: Span,
  cat: string,
  place: { readonly pid: number; readonly tid: number },
): object {
  // A kernel takes a few microseconds, of which a tenth still says something.
  const tenths = (us: number): number => Math.round(us * 10) / 10;
  const args = step === undefined ? {} : { step };
  return { name, cat, ph: 'X', ts: tenths(startUs), dur: tenths(durationUs), ...place, args };
}

import { writeFileAtomically } from '../../src/files.ts';

/** A complete event of Chrome's trace format; times in microseconds. */
interface TraceEvent {
  readonly name: string;
  readonly cat: string;
  readonly ph: 'X';
  readonly ts: number;
  readonly dur: number;
  readonly pid: number;
  readonly tid: number;
  readonly args: Readonly<Record<string, number>>;
}

/** The phases of a run over time, as `chrome://tracing` and Perfetto show them: phases of a step lie below it. */
export class Timeline {
  readonly #events: TraceEvent[] = [];
  #step = 0;

  /** The step that what follows belongs to. */
  set step(step: number) {
    this.#step = step;
  }

  /** Adds a phase; times as `performance.now()` gives them. */
  add(phase: string, startedMs: number, endedMs: number): void {
    this.#events.push({
      name: phase,
      cat: 'trainer',
      ph: 'X',
      ts: Math.round((performance.timeOrigin + startedMs) * 1000),
      dur: Math.round((endedMs - startedMs) * 1000),
      pid: process.pid,
      tid: 0,
      args: { step: this.#step },
    });
  }

  /** Writes all of it as a JSON array of events. */
  async write(file: string): Promise<void> {
    const names = [
      { name: 'process_name', ph: 'M', pid: process.pid, tid: 0, args: { name: 'cxmind' } },
      { name: 'thread_name', ph: 'M', pid: process.pid, tid: 0, args: { name: 'trainer' } },
    ];
    const lines = [...names, ...this.#events].map((event) => JSON.stringify(event));
    await writeFileAtomically(file, `[\n${lines.join(',\n')}\n]\n`);
  }
}

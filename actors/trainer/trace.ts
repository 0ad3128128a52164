import { writeFileAtomically } from '../../src/files.ts';

/** Something that took time; microseconds since the epoch. */
export interface Span {
  readonly name: string;
  readonly startUs: number;
  readonly durationUs: number;
  readonly step?: number;
}

/** Spans by the thread that they are drawn on, under the name of a process. */
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

/** A complete event. */
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

/**
 * The spans of a step as a line of `spans.jsonl`: the trainer's phases, and the work of every actor with the time that
 * its message waited.
 *
 * Of a step with very many messages the longest spans are kept.
 */
import type { SpanLine } from '../../../src/dashboard/readers/timeline.ts';
import type { ActorWork } from '../../runtime/work.ts';
import type { Timeline } from './timeline.ts';

/** Spans of a line. */
const MOST_SPANS = 300;
/** Messages that are held until the step is over; the shortest of more of them make room. */
const MOST_HELD = 20 * MOST_SPANS;

type TimedSpan = readonly [
  lane: string,
  name: string,
  startMs: number,
  endMs: number,
  sentMs: number | null,
  isFailed: boolean,
];

/** Collects the spans of one step after the other. Times are those of `performance.now()`. */
export class SpanLog {
  readonly #timeline: Timeline;
  #work: TimedSpan[] = [];
  #dropped = 0;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** Adds what an actor has done. */
  add({ actor, method, sentMs, startedMs, endedMs, isFailed }: ActorWork): void {
    this.#work.push([actor, method, startedMs, endedMs, sentMs, isFailed]);
    if (this.#work.length >= 2 * MOST_HELD) this.#dropShort();
  }

  /** The line of the step that began at a time and is over now. */
  line(step: number, beganMs: number): SpanLine {
    const phases = this.#timeline.take().flatMap(({ lane, name, startUs, durationUs }) => {
      const startMs = startUs / 1000 - performance.timeOrigin;
      const span: TimedSpan = [lane, name, startMs, startMs + durationUs / 1000, null, false];
      // The whole step would hide its phases.
      return name === 'step' ? [] : [span];
    });
    const work = longest(this.#work, Math.max(0, MOST_SPANS - phases.length));
    const leftOut = this.#dropped + this.#work.length - work.length;
    this.#work = [];
    this.#dropped = 0;
    const spans = [...phases, ...work].sort((a, b) => a[2] - b[2]);
    const since = (ms: number): number => Math.round((ms - beganMs) * 100) / 100;
    return {
      step,
      began: Math.round(performance.timeOrigin + beganMs),
      duration: since(performance.now()),
      left_out: leftOut,
      spans: spans.map(([lane, name, start, end, sent]) => [
        ...([lane, name, since(start), since(end)] as const),
        sent === null ? null : since(sent),
      ]),
      failed: spans.flatMap(([, , , , , isFailed], i) => (isFailed ? [i] : [])),
    };
  }

  #dropShort(): void {
    const kept = longest(this.#work, MOST_HELD);
    this.#dropped += this.#work.length - kept.length;
    this.#work = kept;
  }
}

/** The spans that took longest, their waits included. */
function longest(spans: readonly TimedSpan[], count: number): TimedSpan[] {
  const length = ([, , start, end, sent]: TimedSpan): number =>
    end - Math.min(start, sent ?? start);
  return [...spans].sort((a, b) => length(b) - length(a)).slice(0, count);
}

/**
 * The spans of each step of a run, from its `spans.jsonl`: one line a step.
 *
 * Only the places of the lines are kept in memory. Lanes come in the order that a reader wants: the trainer's phases,
 * phases beside them, then the actors.
 */
import * as t from 'io-ts';
import { orNull } from '../../check/codec.ts';
import type { StepTimeline } from '../api.ts';
import { bytesAt, LineTail, objectOf, openedFile } from './line-tail.ts';

/** A line of `spans.jsonl`. */
export const SpanLine = t.type({
  step: t.number,
  /** Milliseconds since the epoch. */
  began: t.number,
  /** Milliseconds from `began` to the end of the step. */
  duration: t.number,
  /** Spans that the line has no room for. */
  left_out: t.number,
  /** Lane, name, start, end and time of sending, in milliseconds since `began`; phases were not sent. */
  spans: t.array(t.tuple([t.string, t.string, t.number, t.number, orNull(t.number)])),
  /** Places of the spans whose work failed. */
  failed: t.array(t.number),
});
export interface SpanLine extends t.TypeOf<typeof SpanLine> {}

interface StepPlace {
  readonly step: number;
  readonly offset: number;
  readonly length: number;
}

/** Lane of the phases of a step. */
const MAIN_LANE = 'trainer';
const HEAD_BYTES = 64;
const head = /^\{"step":(\d+),/;

export class TimelineFile extends LineTail {
  #places: StepPlace[] = [];

  get lastStep(): number | null {
    return this.#places.at(-1)?.step ?? null;
  }

  protected override take(line: Buffer, offset: number): void {
    const step = Number(head.exec(line.toString('latin1', 0, HEAD_BYTES))?.[1]);
    if (!Number.isNaN(step)) this.#places.push({ step, offset, length: line.length });
  }

  protected override forget(): void {
    this.#places = [];
  }

  /** The timeline of a step, of the newest by default; null where there is none. */
  async of(step = this.lastStep): Promise<StepTimeline | null> {
    const place = this.#places.findLast((one) => one.step === step);
    if (place === undefined) return null;
    await using file = await openedFile(this.file);
    const line = file === null ? null : objectOf(await bytesAt(file, place));
    if (!SpanLine.is(line)) return null;
    const spans = line.spans
      .map(([lane, name, start, end, sent], i) => ({
        ...{ lane, name, start, end, sent },
        isFailed: line.failed.includes(i),
      }))
      .sort((a, b) => a.start - b.start);
    return {
      ...{ step: line.step, began: line.began, duration: line.duration },
      lanes: lanesOf(line.spans),
      spans,
      leftOut: line.left_out,
      firstStep: this.#places[0]!.step,
      lastStep: this.#places.at(-1)!.step,
    };
  }
}

/** Lanes in the order they are drawn. Those of actors have spans with a time of sending. */
function lanesOf(spans: SpanLine['spans']): string[] {
  const ofActors = new Set(spans.flatMap(([lane, , , , sent]) => (sent === null ? [] : [lane])));
  const rank = (lane: string): number => (lane === MAIN_LANE ? 0 : ofActors.has(lane) ? 2 : 1);
  return [...new Set(spans.map(([lane]) => lane))].sort(
    (a, b) => rank(a) - rank(b) || a.localeCompare(b, 'en', { numeric: true }),
  );
}

/**
 * Drawing of the spans of a step on a canvas, a lane for each actor.
 *
 * Work is a solid bar. The time that a message waited for its actor is a hatched bar before it. Spans of one lane that
 * overlap are drawn below each other, each in the first row that is free (greedy interval partitioning).
 */
import type { StepTimeline, TimelineSpan } from '../../api.ts';
import { offsetText } from '../format.ts';
import { colour } from '../theme.ts';
import { plainText } from '../visible-text.ts';

/** A range of times in a step, in milliseconds. */
export type TimeRange = readonly [from: number, to: number];

/** A span with its place in the drawing. */
export interface PlacedSpan {
  readonly span: TimelineSpan;
  /** Row of the drawing, over all lanes, from 0. */
  readonly row: number;
}

/** Lanes with their first row and their number of rows. */
interface PlacedLane {
  readonly name: string;
  readonly first: number;
  readonly rows: number;
  /** Share of the step in which the lane has work, in [0, 1]. */
  readonly busy: number;
}

/** The spans and lanes of a step, with their rows. */
export interface Layout {
  readonly spans: readonly PlacedSpan[];
  readonly lanes: readonly PlacedLane[];
  readonly rows: number;
}

const ROW = 22;
const BAR = 16;
const AXIS = 24;
const MIN_TEXT = 34;
const FONT = '11px system-ui, sans-serif';
/** Colours of work: those of series, except the one that is like the colour of failed work. */
const colours = [1, 2, 3, 4, 6, 7, 8].map((place) => `series-${place}`);
/** Width of the names of lanes, in CSS pixels. */
const LABELS = 132;
const NARROW_LABELS = 72;
const NARROW = 560;

/** Places the spans of a step in rows. */
export function layoutOf({ lanes, spans, duration }: StepTimeline): Layout {
  const placed: PlacedSpan[] = [];
  let first = 0;
  const placedLanes = lanes.map((name) => {
    const ends: number[] = [];
    const own = spans.filter(({ lane }) => lane === name).sort(outerFirst);
    for (const span of own) {
      const begin = span.sent === null ? span.start : Math.min(span.sent, span.start);
      const free = ends.findIndex((end) => end <= begin);
      const row = free < 0 ? ends.length : free;
      ends[row] = span.end;
      placed.push({ span, row: first + row });
    }
    const rows = Math.max(1, ends.length);
    const lane = { name, first, rows, busy: busyShare(own, duration) };
    first += rows;
    return lane;
  });
  return { spans: placed, lanes: placedLanes, rows: first };
}

/** Height of a drawing, in CSS pixels. */
export function heightOf({ rows }: Layout): number {
  return AXIS + rows * ROW + 4;
}

/** Places of times and rows on a canvas, in CSS pixels. */
export class Scale {
  readonly labels: number;
  readonly width: number;
  readonly #window: TimeRange;

  constructor(width: number, window: TimeRange) {
    this.width = width;
    this.#window = window;
    this.labels = width < NARROW ? NARROW_LABELS : LABELS;
  }

  x(ms: number): number {
    const [from, to] = this.#window;
    return this.labels + ((ms - from) / (to - from)) * (this.width - this.labels);
  }

  ms(x: number): number {
    const [from, to] = this.#window;
    return from + ((x - this.labels) / (this.width - this.labels)) * (to - from);
  }

  y(row: number): number {
    return AXIS + row * ROW;
  }

  row(y: number): number {
    return Math.floor((y - AXIS) / ROW);
  }
}

/** The span at a place of the canvas; null where there is none. */
export function spanAt(layout: Layout, scale: Scale, x: number, y: number): PlacedSpan | null {
  const row = scale.row(y);
  const ms = scale.ms(x);
  // Bars narrower than the pointer can be hit too.
  const slack = Math.abs(scale.ms(2) - scale.ms(0));
  const hits = layout.spans.filter(
    ({ span, row: own }) =>
      own === row && ms >= (span.sent ?? span.start) - slack && ms <= span.end + slack,
  );
  return hits.at(-1) ?? null;
}

/** Colours of kinds of work. A kind keeps its colour from step to step; phases and work of actors are counted apart. */
export class SpanColours {
  readonly #phases: string[] = [];
  readonly #work: string[] = [];

  of({ name, sent, isFailed }: TimelineSpan): string {
    if (isFailed) return 'bad';
    const names = sent === null ? this.#phases : this.#work;
    if (!names.includes(name)) names.push(name);
    return colours[names.indexOf(name) % colours.length]!;
  }
}

interface Drawing {
  readonly layout: Layout;
  readonly window: TimeRange;
  readonly selected: TimelineSpan | null;
  readonly colours: SpanColours;
}

/** Draws the spans, at the size of the canvas's box and the resolution of the screen. */
export function drawGantt(canvas: HTMLCanvasElement, drawing: Drawing): void {
  const { layout, window, selected } = drawing;
  const [width, height, ratio] = [canvas.clientWidth, heightOf(layout), devicePixelRatio];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext('2d')!;
  context.scale(ratio, ratio);
  context.font = FONT;
  context.textBaseline = 'middle';
  const scale = new Scale(width, window);
  drawAxis(context, scale, window, height);
  drawLanes(context, scale, layout);
  context.save();
  context.beginPath();
  context.rect(scale.labels, AXIS, width - scale.labels, height - AXIS);
  context.clip();
  for (const placed of layout.spans) {
    const fill = drawing.colours.of(placed.span);
    drawSpan(context, scale, placed, { fill, isSelected: placed.span === selected });
  }
  context.restore();
}

function drawAxis(
  context: CanvasRenderingContext2D,
  scale: Scale,
  [from, to]: TimeRange,
  height: number,
): void {
  const step = roundStep((to - from) / Math.max(2, (scale.width - scale.labels) / 90));
  context.strokeStyle = colour('line');
  context.fillStyle = colour('soft');
  context.lineWidth = 1;
  for (let ms = Math.ceil(from / step) * step; ms <= to; ms += step) {
    const x = Math.round(scale.x(ms)) + 0.5;
    context.beginPath();
    context.moveTo(x, AXIS - 4);
    context.lineTo(x, height);
    context.stroke();
    const text = offsetText(ms);
    const half = context.measureText(text).width / 2;
    if (x + half <= scale.width) context.fillText(text, Math.max(scale.labels, x - half), AXIS / 2);
  }
}

function drawLanes(context: CanvasRenderingContext2D, scale: Scale, layout: Layout): void {
  for (const { name, first, busy } of layout.lanes) {
    const y = scale.y(first);
    context.strokeStyle = colour('line');
    context.beginPath();
    context.moveTo(0, y - 0.5);
    context.lineTo(scale.width, y - 0.5);
    context.stroke();
    const share = scale.labels === LABELS ? `${Math.round(100 * busy)} %` : '';
    const room = scale.labels - context.measureText(share).width - 10;
    context.fillStyle = colour('soft');
    context.fillText(share, room + 2, y + ROW / 2);
    context.fillStyle = colour('ink');
    context.fillText(shortened(context, plainText(name), room), 0, y + ROW / 2);
  }
}

function drawSpan(
  context: CanvasRenderingContext2D,
  scale: Scale,
  { span, row }: PlacedSpan,
  { fill, isSelected }: { readonly fill: string; readonly isSelected: boolean },
): void {
  const top = scale.y(row) + (ROW - BAR) / 2;
  const [left, right] = [scale.x(span.start), scale.x(span.end)];
  const width = Math.max(1, right - left);
  if (span.sent !== null && span.sent < span.start) {
    hatch(context, scale.x(span.sent), left, top);
  }
  context.fillStyle = colour(fill);
  context.fillRect(left, top, width, BAR);
  if (isSelected) {
    context.strokeStyle = colour('ink');
    context.lineWidth = 2;
    context.strokeRect(left - 1, top - 1, width + 2, BAR + 2);
  }
  const from = Math.max(left, scale.labels);
  const room = Math.min(right, scale.width) - from - 8;
  if (room < MIN_TEXT) return;
  context.fillStyle = colour('on-series');
  context.fillText(shortened(context, plainText(span.name), room), from + 4, top + BAR / 2 + 1);
}

/** A bar of slanted lines: time spent waiting. */
function hatch(context: CanvasRenderingContext2D, left: number, right: number, top: number): void {
  if (right - left < 1) return;
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, BAR);
  context.clip();
  context.strokeStyle = colour('soft');
  context.lineWidth = 1;
  context.beginPath();
  const begin = Math.max(left, 0) - BAR;
  for (let x = begin; x < Math.min(right, context.canvas.clientWidth); x += 6) {
    context.moveTo(x, top + BAR);
    context.lineTo(x + BAR, top);
  }
  context.stroke();
  context.restore();
}

function outerFirst(a: TimelineSpan, b: TimelineSpan): number {
  return a.start - b.start || b.end - a.end;
}

/** Share of a step in which one of the spans goes on. */
function busyShare(spans: readonly TimelineSpan[], duration: number): number {
  let [covered, upTo] = [0, 0];
  for (const { start, end } of spans.toSorted((a, b) => a.start - b.start)) {
    const from = Math.max(start, upTo);
    const to = Math.min(end, duration);
    if (to > from) covered += to - from;
    upTo = Math.max(upTo, to);
  }
  return duration > 0 ? covered / duration : 0;
}

/** 1, 2 or 5 times a power of ten, at least as large as a value. */
function roundStep(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 5, 10].find((digit) => digit * power >= value) ?? 10);
}

function shortened(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 0 && context.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}

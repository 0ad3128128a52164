/**
 * Timeline: the work in a step, phase by phase and actor by actor, and what each piece of work waited for.
 *
 * The table below the drawing has the same spans, for readers of screens and for keys.
 */
import type { RunListing, StepTimeline, TimelineSpan } from '../../api.ts';
import { get } from '../client.ts';
import { button, div, element, emptyNote, fill, loading, soft, type Content } from '../dom.ts';
import { countText, durationText, offsetText } from '../format.ts';
import {
  drawGantt,
  heightOf,
  layoutOf,
  Scale,
  spanAt,
  SpanColours,
  type Layout,
  type TimeRange,
} from './gantt.ts';
import { yet } from '../states.ts';
import type { Change, Session } from '../session.ts';
import { StepPicker } from '../step-picker.ts';
import { Throttle } from '../tasks.ts';
import { themeEvent } from '../theme.ts';
import { View } from '../view.ts';
import { visibleText } from '../visible-text.ts';
import { WindowedList } from '../windowed-list.ts';

const REFRESH_MS = 1_000;
/** Shortest drag that zooms, in CSS pixels. */
const MIN_DRAG = 6;

export class Timeline extends View {
  readonly #refresh = new Throttle(() => this.show(), REFRESH_MS);
  override readonly picker = new StepPicker(() => this.show());
  readonly #canvas = element('canvas', { className: 'gantt', attributes: { role: 'img' } });
  readonly #selection = element('div', { className: 'drag', hidden: true });
  readonly #whole = button('Whole step', () => this.#zoom(null), { hidden: true });
  readonly #facts = soft();
  readonly #explanation = element('div', {
    className: 'span-facts',
    attributes: { role: 'status' },
  });
  readonly #list = new WindowedList('Spans of the step', 24);
  readonly #drawing = div('gantt-box', this.#canvas, this.#selection);
  readonly #content = element('div', {}, emptyNote(loading));
  readonly element = div(
    'timeline',
    div('toolbar', this.picker.element, this.#whole, this.#facts),
    this.#content,
  );
  #timeline: StepTimeline | null = null;
  /** Run and step that were drawn. */
  #drawn: string | null = null;
  #layout: Layout = { spans: [], lanes: [], rows: 0 };
  #window: TimeRange = [0, 1];
  #selected: TimelineSpan | null = null;
  readonly #colours = new SpanColours();

  constructor(session: Session) {
    super(session);
    this.#listenToPointer();
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    document.addEventListener(themeEvent, () => this.#draw());
  }

  update(change: Change): void {
    if (change.type !== 'grown' || change.what !== 'timeline') return;
    if (change.run === this.session.focus?.id) this.#refresh.ask();
  }

  show(): void {
    this.fetchOfFocus(async (focus, signal) => {
      const query = { step: this.picker.wanted };
      const found = await get<StepTimeline | null>(`runs/${focus.id}/timeline`, query, signal);
      this.#take(found, focus);
    });
  }

  #take(found: StepTimeline | null, run: RunListing): void {
    const drawn = found && [run.id, found.step, found.began].join();
    const isDrawn = drawn === this.#drawn;
    this.#drawn = drawn;
    if (found === null) {
      this.#timeline = null;
      this.picker.show([], null);
      this.#whole.hidden = true;
      this.#facts.textContent = '';
      fill(this.#content, emptyNote(yet('No step with a timeline', run)));
      return;
    }
    const { firstStep, lastStep, step, duration, spans, leftOut } = found;
    const steps = Array.from({ length: lastStep - firstStep + 1 }, (_, i) => firstStep + i);
    this.picker.show(steps, step);
    // A step does not change when others come.
    if (isDrawn) return;
    this.#timeline = found;
    this.#layout = layoutOf(found);
    this.#window = wholeWindow(found);
    this.#whole.hidden = true;
    const more = leftOut === 0 ? '' : `, ${countText(leftOut)} short ones left out`;
    this.#facts.textContent = `${durationText(duration / 1000)}, ${countText(spans.length)} spans${more}`;
    this.#canvas.setAttribute('aria-label', `Spans of step ${step}; the list below has them all`);
    if (!this.#content.contains(this.#canvas)) {
      fill(
        this.#content,
        element('section', { className: 'panel' }, this.#drawing, legend()),
        this.#explanation,
        spanHeads(),
        this.#list.element,
      );
    }
    this.#list.show({
      count: spans.length,
      row: (i) => spanRow(spans[i]!),
      chosen: (i) => this.#select(spans[i]!),
    });
    this.#list.select(null);
    this.#select(null);
  }

  #draw(): void {
    if (this.#timeline === null || this.#canvas.clientWidth === 0) return;
    this.#canvas.style.height = `${heightOf(this.#layout)}px`;
    drawGantt(this.#canvas, {
      layout: this.#layout,
      window: this.#window,
      selected: this.#selected,
      colours: this.#colours,
    });
  }

  #select(span: TimelineSpan | null): void {
    this.#selected = span;
    this.#draw();
    const { spans = [] } = this.#timeline ?? {};
    fill(
      this.#explanation,
      this.#selected === null
        ? emptyNote(
            'Choose a span to see what it waited for. Drag over the drawing to look closer.',
          )
        : spanFacts(this.#selected, spans),
    );
  }

  #zoom(window: TimeRange | null): void {
    if (this.#timeline === null) return;
    this.#window = window ?? wholeWindow(this.#timeline);
    this.#whole.hidden = window === null;
    this.#draw();
  }

  #listenToPointer(): void {
    const canvas = this.#canvas;
    let from: number | null = null;
    canvas.addEventListener('pointerdown', ({ offsetX, pointerId, pointerType }) => {
      // A finger that is drawn over the page scrolls it.
      if (pointerType === 'touch') return;
      from = offsetX;
      canvas.setPointerCapture(pointerId);
    });
    canvas.addEventListener('pointermove', ({ offsetX }) => {
      if (from === null) return;
      const [left, right] = [Math.min(from, offsetX), Math.max(from, offsetX)];
      this.#selection.hidden = right - left < MIN_DRAG;
      this.#selection.style.left = `${left}px`;
      this.#selection.style.width = `${right - left}px`;
    });
    canvas.addEventListener('pointerup', ({ offsetX, offsetY }) => {
      const began = from ?? offsetX;
      from = null;
      this.#selection.hidden = true;
      const scale = new Scale(canvas.clientWidth, this.#window);
      if (Math.abs(offsetX - began) < MIN_DRAG) {
        const hit = spanAt(this.#layout, scale, offsetX, offsetY)?.span ?? null;
        this.#list.select(hit === null ? null : (this.#timeline?.spans.indexOf(hit) ?? null));
        this.#select(hit);
        return;
      }
      const [a, b] = [scale.ms(began), scale.ms(offsetX)];
      this.#zoom([Math.min(a, b), Math.max(a, b)]);
    });
    canvas.addEventListener('dblclick', () => this.#zoom(null));
  }
}

/** The whole step, together with work that began before it. */
function wholeWindow({ spans, duration }: StepTimeline): TimeRange {
  const begin = spans.reduce((least, { start }) => Math.min(least, start), 0);
  const end = spans.reduce((most, span) => Math.max(most, span.end), duration);
  const from = Math.max(begin, -duration);
  return [from, Math.max(end, from + 1)];
}

function legend(): HTMLElement {
  const entry = (kind: string, words: string): HTMLElement =>
    element('span', {}, element('span', { className: `swatch ${kind}` }), words);
  return element(
    'p',
    { className: 'soft gantt-legend' },
    entry('work', 'work, each kind in its colour'),
    entry('wait', 'its message waits for the actor'),
    entry('failed', 'failed'),
    element('span', {}, '%: share of the step in which a lane works'),
  );
}

/** Heads of the list of spans, in its columns. */
function spanHeads(): HTMLElement {
  const heads = ['Lane', 'Work', 'Began at', 'Took', 'Waited before'].map((words, i) =>
    element('span', { className: i < 2 ? '' : 'number' }, words),
  );
  return element(
    'div',
    { className: 'list-heads soft', attributes: { 'aria-hidden': true } },
    heads,
  );
}

function spanRow({ lane, name, start, end, sent, isFailed }: TimelineSpan): Content {
  const wait = sent === null ? 0 : Math.max(0, start - sent);
  return [
    element('span', { className: 'span-lane' }, visibleText(lane)),
    element('span', { className: 'span-name' }, visibleText(name), isFailed ? ' (failed)' : ''),
    element('span', { className: 'number' }, offsetText(start)),
    element('span', { className: 'number' }, durationText((end - start) / 1000)),
    element('span', { className: 'number soft' }, wait > 0 ? offsetText(wait) : ''),
  ];
}

/** Facts about a span: its time, its length, and what it waited for. */
function spanFacts(span: TimelineSpan, all: readonly TimelineSpan[]): Content {
  const { lane, name, start, end, sent, isFailed } = span;
  const facts: Content[] = [
    element('strong', {}, visibleText(name), ' on ', visibleText(lane)),
    ` from ${offsetText(start)} to ${offsetText(end)}, ${durationText((end - start) / 1000)}`,
    isFailed ? element('span', { className: 'error' }, '; failed or given up') : null,
    '.',
  ];
  if (sent !== null && sent < start) {
    const before = all.filter(
      (other) => other !== span && other.lane === lane && other.end > sent && other.start < start,
    );
    facts.push(` Its message waited ${offsetText(start - sent)}`);
    if (before.length > 0) facts.push(' for the actor, which was busy with ', namesOf(before));
    facts.push('.');
  }
  if (sent === null) {
    const work = all.filter(
      (other) =>
        other.sent !== null && other.sent >= start && other.sent <= end && other.end <= end + 1,
    );
    if (work.length > 0) facts.push(' It waited for ', namesOf(work), '.');
  }
  return element('p', {}, facts);
}

/** Names of a few spans with their lanes, the longest span first. */
function namesOf(spans: readonly TimelineSpan[]): Content {
  const most = 6;
  const sorted = spans.toSorted((a, b) => b.end - b.start - (a.end - a.start));
  const names = sorted
    .slice(0, most)
    .map((span, i) => [
      i === 0 ? '' : ', ',
      visibleText(`${span.name} on ${span.lane}`),
      ` (${durationText((span.end - span.start) / 1000)})`,
    ]);
  return [names, spans.length > most ? ` and ${countText(spans.length - most)} more` : ''];
}

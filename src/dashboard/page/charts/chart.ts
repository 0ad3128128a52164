/**
 * A chart of one metric over steps, a line for each run, drawn by uPlot.
 *
 * Dragging over the chart asks for a range of steps, and a double click asks for all of them. The owner of the chart sets
 * the range, so that all charts show the same one. A smoothed line has the raw line behind it, faint.
 */
import {
  extremes,
  positive,
  smoothed,
  type Curve,
  type CurveSettings,
  type StepRange,
} from './curves.ts';
import { element, soft, span } from '../dom.ts';
import { numberText } from '../format.ts';
import { colourMark, colour, currentTheme, seriesColour } from '../theme.ts';
import { unitOf } from './units.ts';
import { plainText, visibleText } from '../visible-text.ts';

/** A run's line in a chart. */
export interface Line {
  readonly run: string;
  /** Place of its colour. */
  readonly place: number;
  readonly curve: Curve;
}

const HEIGHT = 150;
const Y_AXIS_WIDTH = 54;
const FONT = '11px system-ui, sans-serif';

export class Chart {
  readonly element: HTMLElement;
  readonly #name: string;
  readonly #unit: string;
  readonly #onZoom: (range: StepRange | null) => void;
  readonly #values = span('chart-values');
  readonly #plot = element('div', { className: 'plot', attributes: { role: 'img' } });
  #lines: readonly Line[] = [];
  #settings: CurveSettings | null = null;
  #drawn: uPlot | null = null;
  /** Form of the drawing, which is made again for another form. */
  #form = '';

  /** @param onZoom takes the range of steps that the reader chose; null for all */
  constructor(name: string, onZoom: (range: StepRange | null) => void) {
    this.#name = name;
    this.#unit = unitOf(name);
    this.#onZoom = onZoom;
    const title = element(
      'span',
      { className: 'chart-name', title: plainText(name) },
      visibleText(name),
    );
    this.element = element(
      'figure',
      { className: 'chart', attributes: { 'data-metric': plainText(name) } },
      element('figcaption', {}, title, this.#values),
      this.#plot,
    );
    new ResizeObserver(() => this.#resize()).observe(this.#plot);
  }

  /** Draws lines; an earlier drawing is updated. */
  draw(lines: readonly Line[], settings: CurveSettings): void {
    this.#lines = lines;
    this.#settings = settings;
    this.#plot.setAttribute('aria-label', this.#summary());
    // Before its numbers have come a chart has no axes either.
    if (lines.length === 0) return;
    this.element.classList.toggle('several', lines.length > 1);
    this.#tellValues(null);
    const places = lines.map(({ place }) => place).join(' ');
    const form = [places, settings.smoothing > 0, settings.isLog, currentTheme()].join();
    const data = this.#data(settings);
    if (this.#drawn === null || form !== this.#form) {
      this.#drawn?.destroy();
      this.#drawn = new uPlot(this.#options(settings), data, this.#plot);
      this.#form = form;
    } else {
      this.#drawn.setData(data);
    }
  }

  /** Columns for uPlot: the steps of all lines, then for each line its values, or raw and smoothed ones. */
  #data({ smoothing, isLog }: CurveSettings): uPlot.AlignedData {
    const tables = this.#lines.map(({ curve }): uPlot.AlignedData => {
      const raw = isLog ? positive(curve.values) : [...curve.values];
      const steps = [...curve.steps];
      return smoothing > 0 ? [steps, raw, smoothed(raw, smoothing)] : [steps, raw];
    });
    return tables.length === 1 ? tables[0]! : uPlot.join(tables);
  }

  #options({ smoothing, isLog }: CurveSettings): uPlot.Options {
    const lines = this.#lines.flatMap(({ place }): uPlot.Series[] => {
      const stroke = colour(seriesColour(place));
      const line: uPlot.Series = {
        stroke,
        width: 1.5,
        spanGaps: true,
        points: { size: 4, fill: stroke },
      };
      const faint: uPlot.Series = { ...line, width: 1, alpha: 0.3, points: { show: false } };
      return smoothing > 0 ? [faint, line] : [line];
    });
    const axis: uPlot.Axis = {
      font: FONT,
      stroke: colour('soft'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { show: false },
    };
    return {
      width: Math.max(1, this.#plot.clientWidth),
      height: HEIGHT,
      padding: [8, 24, 0, 0],
      legend: { show: false },
      series: [{}, ...lines],
      scales: {
        x: { time: false, range: (plot, least, most) => this.#stepRange(plot, least, most) },
        y: isLog ? uPlot.assign({}, logScale) : {},
      },
      axes: [
        { ...axis, size: 24, gap: 4, values: stepTexts, incrs: wholeIncrements },
        { ...axis, size: Y_AXIS_WIDTH, gap: 4, values: texts, space: 28 },
      ],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        points: { size: 6 },
        sync: {
          key: 'steps',
          filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave' },
        },
        bind: { dblclick: () => () => this.#zoom(null) },
      },
      hooks: {
        setSelect: [(plot) => this.#select(plot)],
        setLegend: [(plot) => this.#tellValues(plot.cursor.idx ?? null)],
      },
    };
  }

  #stepRange(plot: uPlot, least: number | null, most: number | null): uPlot.Range.MinMax {
    const range = this.#settings?.range;
    if (range) return [range[0], range[1]];
    if (least === null || most === null) return [0, 1];
    // A single step has no extent, for which uPlot would take a hundred.
    return plot.data[0].length === 1 ? [least - 1, least + 1] : [least, most];
  }

  #select(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width === 0) return;
    const range = [plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')] as const;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#zoom(range);
  }

  #zoom(range: StepRange | null): null {
    this.#onZoom(range);
    return null;
  }

  /** Writes the values under the cursor, or the newest ones. */
  #tellValues(index: number | null): void {
    const step = index === null ? undefined : this.#drawn?.data[0][index];
    const values = this.#lines.map(({ place, curve }) => {
      const newest = extremes(curve)?.last;
      const at = step === undefined ? -1 : curve.steps.indexOf(step);
      const value = step === undefined ? newest : curve.values[at];
      return [this.#lines.length > 1 ? colourMark(place) : null, numberText(value), ' '];
    });
    const place = step === undefined ? null : `step ${numberText(step)}: `;
    this.#values.replaceChildren(soft(place), element('span', {}, values), soft(this.#unit));
  }

  #summary(): string {
    const parts = this.#lines.map(({ run, curve }) => {
      const found = extremes(curve);
      const name = this.#lines.length > 1 ? `${run}: ` : '';
      if (found === null) return `${name}no values`;
      const { last, step, least, most } = found;
      const range = `from ${numberText(least)} to ${numberText(most)}`;
      return `${name}${numberText(last)} at step ${numberText(step)}, ${range}`;
    });
    return plainText(`${this.#name}, ${parts.length === 0 ? 'no values' : parts.join('; ')}`);
  }

  #resize(): void {
    const { clientWidth: width } = this.#plot;
    if (this.#drawn !== null && width > 0 && width !== this.#drawn.width) {
      this.#drawn.setSize({ width, height: HEIGHT });
    }
  }
}

/** Marks of an axis as numbers; null is a mark that a logarithmic axis has no room for. */
function texts(_: uPlot, splits: (number | null)[]): string[] {
  return splits.map((value) => (value === null ? '' : numberText(Number(value.toPrecision(6)))));
}

/** Marks of the axis of steps; the first has the word `step`. */
function stepTexts(plot: uPlot, splits: (number | null)[]): string[] {
  return texts(plot, splits).map((text, i) => (i === 0 ? `step ${text}` : text));
}

/** Distances of marks on the axis of steps, which are whole numbers. */
const wholeIncrements = [1, 2, 5]
  .flatMap((digit) => Array.from({ length: 8 }, (_, power) => digit * 10 ** power))
  .sort((a, b) => a - b);

/** A logarithmic scale, by uPlot's number: its enum has no values at run time. */
const logScale = { distr: 3, range: logRange };

/** Whole powers of ten around positive values. */
function logRange(_: uPlot, least: number | null, most: number | null): uPlot.Range.MinMax {
  if (least === null || most === null || least <= 0) return [1, 10];
  const [low, high] = [10 ** Math.floor(Math.log10(least)), 10 ** Math.ceil(Math.log10(most))];
  return low === high ? [low, 10 * high] : [low, high];
}

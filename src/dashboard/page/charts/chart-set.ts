/**
 * A set of charts of which only those in sight are fetched and drawn, so that a page with hundreds of them stays fluent.
 *
 * All charts share their settings and their range of steps.
 */
import { Chart, type Line } from './chart.ts';
import { plainSettings, type CurveSettings, type StepRange } from './curves.ts';
import { SeriesStore } from './series-store.ts';
import { element, fill } from '../dom.ts';
import type { Session } from '../session.ts';
import { Latest, Throttle } from '../tasks.ts';
import { colourMark, themeEvent } from '../theme.ts';
import { visibleText } from '../visible-text.ts';

const FETCH_SPAN_MS = 60;
/** Distance from the window at which a chart is fetched, so that it is there when it comes into sight. */
const MARGIN = '200px';

export class ChartSet {
  /** The colours of the runs; one run alone needs none. */
  readonly legend = element('div', { className: 'legend', attributes: { 'aria-label': 'Runs' } });
  readonly #session: Session;
  readonly #store = new SeriesStore();
  readonly #fetching = new Latest();
  readonly #load = new Throttle(() => this.#fetch(false), FETCH_SPAN_MS);
  readonly #charts = new Map<string, Chart>();
  readonly #names = new WeakMap<Element, string>();
  readonly #inSight = new Set<string>();
  readonly #observer: IntersectionObserver;
  readonly #onZoom: (range: StepRange | null) => void;
  #settings = plainSettings;

  /** @param onZoom takes the range of steps that the reader chose in one of the charts */
  constructor(session: Session, onZoom: (range: StepRange | null) => void) {
    this.#session = session;
    this.#onZoom = onZoom;
    this.#observer = new IntersectionObserver((entries) => this.#see(entries), {
      rootMargin: MARGIN,
    });
    document.addEventListener(themeEvent, () => this.#draw());
  }

  /** The element of a metric's chart, which is made when it is first asked for. */
  elementOf(name: string): HTMLElement {
    const chart = this.#charts.get(name) ?? new Chart(name, this.#onZoom);
    if (!this.#charts.has(name)) {
      this.#charts.set(name, chart);
      this.#names.set(chart.element, name);
      this.#observer.observe(chart.element);
    }
    return chart.element;
  }

  /** Draws with other settings. */
  apply(settings: CurveSettings): void {
    this.#settings = settings;
    this.#drawAndLoad();
  }

  /** Draws the runs of the session. */
  refresh(): void {
    const { shown } = this.#session;
    this.legend.hidden = shown.length < 2;
    const names = shown.map(({ name, place }) =>
      element('span', {}, colourMark(place), visibleText(name)),
    );
    fill(this.legend, names);
    this.#drawAndLoad();
  }

  /** Fetches new steps. */
  grow(): void {
    this.#fetch(true);
  }

  #see(entries: readonly IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      const name = this.#names.get(target)!;
      if (isIntersecting) this.#inSight.add(name);
      else this.#inSight.delete(name);
    }
    this.#drawAndLoad();
  }

  /** Draws what has been fetched, and asks for the rest. */
  #drawAndLoad(): void {
    this.#draw();
    this.#load.ask();
  }

  #fetch(hasGrown: boolean): void {
    const names = [...this.#inSight];
    if (names.length === 0) return;
    // An average over reduced points would differ.
    const isWhole = this.#settings.range !== null || this.#settings.smoothing > 0;
    this.#fetching.start(async (signal) => {
      await Promise.all(
        this.#session.shown.map(async ({ id }) => {
          if (hasGrown) await this.#store.grow(id, names, signal);
          await this.#store.load(id, names, isWhole, signal);
        }),
      );
      this.#draw();
    });
  }

  #draw(): void {
    for (const name of this.#inSight) {
      const lines = this.#session.shown.flatMap(({ id, name: run, place }): Line[] => {
        const curve = this.#store.curve(id, name);
        return curve === null ? [] : [{ run, place, curve }];
      });
      this.#charts.get(name)!.draw(lines, this.#settings);
    }
  }
}

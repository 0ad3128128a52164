/** Metrics: a chart of every metric, grouped by the part of its name before the first slash. */
import type { MetricList } from '../../api.ts';
import { ChartSet } from '../charts/chart-set.ts';
import { get } from '../client.ts';
import { plainSettings, type CurveSettings, type StepRange } from '../charts/curves.ts';
import { button, div, element, emptyNote, fill, loading, searchField, soft, span } from '../dom.ts';
import { countText } from '../format.ts';
import type { Change } from '../session.ts';
import { yet } from '../states.ts';
import { Throttle } from '../tasks.ts';
import { View } from '../view.ts';
import { visibleText } from '../visible-text.ts';

const REFRESH_MS = 1_000;
/** Metrics without a slash in their names. */
const NO_GROUP = 'other';
/** Order of names in which `layer_2` is before `layer_10`. */
const byNumbers = new Intl.Collator('en', { numeric: true });

export class Metrics extends View {
  readonly #charts = new ChartSet(this.session, (range) => this.#zoom(range));
  readonly #refresh = new Throttle(() => this.#grow(), REFRESH_MS);
  readonly #groups = div('groups', emptyNote(loading));
  readonly #search = searchField('Search metrics', () => this.#drawGroups());
  readonly #from = stepField('From step', 'first', () => this.#readRange());
  readonly #to = stepField('To step', 'last', () => this.#readRange());
  readonly #count = element('span', { className: 'soft', attributes: { role: 'status' } });
  readonly element = div(
    'metrics',
    div(
      'toolbar',
      this.#search,
      this.#count,
      this.#smoothing(),
      this.#logAxis(),
      span('field', 'Steps', this.#from, '–', this.#to),
      button('All steps', () => this.#zoom(null)),
    ),
    this.#charts.legend,
    this.#groups,
  );
  readonly #closed = new Set<string>();
  /** Names of the metrics of all shown runs, sorted. */
  #names: readonly string[] = [];
  /** Metrics that the groups were drawn for. */
  #drawn = '';
  #settings: CurveSettings = plainSettings;

  show(): void {
    this.#fetch();
    this.#charts.refresh();
  }

  update(change: Change): void {
    if (change.type !== 'grown' || change.what !== 'metrics') return;
    if (this.session.shown.some(({ id }) => id === change.run)) this.#refresh.ask();
  }

  #grow(): void {
    this.#fetch();
    this.#charts.grow();
  }

  #fetch(): void {
    this.fetching.start(async (signal) => {
      const lists = await Promise.all(
        this.session.shown.map(({ id }) => get<MetricList>(`runs/${id}/metrics`, {}, signal)),
      );
      const names = lists.flatMap(({ metrics: all }) => all.map(({ name }) => name));
      this.#names = [...new Set(names)].sort(byNumbers.compare);
      this.#drawGroups();
    });
  }

  /** Draws the groups only where they changed, since a chart that moves is drawn again. */
  #drawGroups(): void {
    const words = this.#search.value.toLowerCase().split(/\s+/);
    const wanted = this.#names.filter((name) =>
      words.every((word) => name.toLowerCase().includes(word)),
    );
    this.#count.textContent =
      wanted.length === this.#names.length
        ? `${countText(wanted.length)} metrics`
        : `${countText(wanted.length)} of ${countText(this.#names.length)} metrics`;
    const form = wanted.join('\n');
    if (form === this.#drawn && form !== '') return;
    this.#drawn = form;
    const groups = Map.groupBy(wanted, groupOf);
    const sections = [...groups].map(([group, names]) => this.#group(group, names));
    const { focus } = this.session;
    const why =
      this.#names.length > 0
        ? 'No metric has that in its name.'
        : yet('No metrics', focus ?? { goesOn: false });
    fill(this.#groups, sections.length === 0 ? emptyNote(why) : sections);
  }

  #group(group: string, names: readonly string[]): HTMLElement {
    const details = element('details', {
      open: !this.#closed.has(group),
      on: {
        toggle: () => {
          if (details.open) this.#closed.delete(group);
          else this.#closed.add(group);
        },
      },
    });
    const charts = names.map((name) => this.#charts.elementOf(name));
    details.append(
      element('summary', {}, element('h2', {}, visibleText(group)), soft(countText(names.length))),
      div('charts', charts),
    );
    return details;
  }

  #smoothing(): HTMLElement {
    const shown = element('output', {}, '0');
    const slider = element('input', {
      type: 'range',
      min: '0',
      max: '0.99',
      step: '0.01',
      value: '0',
      on: {
        input: () => {
          shown.textContent = slider.value;
          this.#apply({ smoothing: Number(slider.value) });
        },
      },
    });
    return element('label', { className: 'field' }, 'Smoothing', slider, shown);
  }

  #logAxis(): HTMLElement {
    const box = element('input', {
      type: 'checkbox',
      on: { change: () => this.#apply({ isLog: box.checked }) },
    });
    const title = 'Values of zero and below have no place on it';
    return element('label', { className: 'field', title }, box, 'Log axis');
  }

  #readRange(): void {
    const [from, to] = [this.#from.valueAsNumber, this.#to.valueAsNumber];
    if (Number.isNaN(from) && Number.isNaN(to)) this.#zoom(null);
    else if (from < to) this.#zoom([from, to]);
  }

  #zoom(range: StepRange | null): void {
    this.#from.value = range === null ? '' : String(Math.round(range[0]));
    this.#to.value = range === null ? '' : String(Math.round(range[1]));
    this.#apply({ range });
  }

  #apply(changed: Partial<CurveSettings>): void {
    this.#settings = { ...this.#settings, ...changed };
    this.#charts.apply(this.#settings);
  }
}

function groupOf(name: string): string {
  const slash = name.indexOf('/');
  return slash <= 0 ? NO_GROUP : name.slice(0, slash);
}

function stepField(label: string, open: string, changed: () => void): HTMLInputElement {
  return element('input', {
    type: 'number',
    min: '0',
    placeholder: open,
    attributes: { 'aria-label': label },
    on: { change: changed },
  });
}

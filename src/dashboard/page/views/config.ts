/** Config: the values of the runs that are shown, key by key, and where they differ. */
import type { ConfigRow, ConfigTable } from '../../api.ts';
import { get } from '../client.ts';
import { element, emptyNote, fill, loading } from '../dom.ts';
import { countText } from '../format.ts';
import type { Change } from '../session.ts';
import { colourMark } from '../theme.ts';
import { Latest } from '../tasks.ts';
import type { View, ViewContext } from '../view.ts';
import { visibleText } from '../visible-text.ts';

export function config(context: ViewContext): View {
  return new Config(context);
}

class Config implements View {
  readonly element: HTMLElement;
  readonly #context: ViewContext;
  readonly #fetching: Latest;
  readonly #content = element('div', { className: 'scroll-x' }, emptyNote(loading));
  readonly #count = element('span', { className: 'soft', attributes: { role: 'status' } });
  readonly #search: HTMLInputElement;
  readonly #differing: HTMLInputElement;
  readonly #differingField: HTMLElement;
  #table: ConfigTable = { runs: [], rows: [] };

  constructor(context: ViewContext) {
    this.#context = context;
    this.#fetching = new Latest(context.failed);
    this.#search = element('input', {
      type: 'search',
      placeholder: 'Search keys and values',
      attributes: { 'aria-label': 'Search keys and values' },
      on: { input: () => this.#draw() },
    });
    this.#differing = element('input', {
      type: 'checkbox',
      on: { change: () => this.#draw() },
    });
    this.#differingField = element(
      'label',
      { className: 'field' },
      this.#differing,
      'Differences alone',
    );
    this.element = element(
      'div',
      {},
      element('h1', { className: 'hidden' }, 'Config'),
      element('div', { className: 'toolbar' }, this.#search, this.#differingField, this.#count),
      element('section', { className: 'panel' }, this.#content),
    );
  }

  show(): void {
    const runs = this.#context.session.shown.map(({ id }) => id);
    if (runs.length === 0) return;
    this.#fetching.start(async (signal) => {
      this.#table = await get<ConfigTable>('config', { run: runs }, signal);
      this.#draw();
    });
  }

  update(change: Change): void {
    if (change.type === 'grown' && change.what === 'config') this.show();
  }

  #draw(): void {
    const { runs, rows } = this.#table;
    const isSingle = runs.length < 2;
    this.#differingField.hidden = isSingle;
    const search = this.#search.value.toLowerCase();
    const onlyDiffering = this.#differing.checked && !isSingle;
    const wanted = rows
      .filter(({ differs }) => differs || !onlyDiffering)
      .filter((row) => search === '' || textOf(row).includes(search));
    const differing = rows.filter(({ differs }) => differs).length;
    this.#count.textContent = [
      `${countText(wanted.length)} of ${countText(rows.length)} keys`,
      ...(isSingle ? [] : [`${countText(differing)} differ`]),
    ].join(', ');
    const names = runs.map((id) => {
      const shown = this.#context.session.shown.find((run) => run.id === id);
      const mark = shown === undefined || isSingle ? null : colourMark(shown.place);
      return element('th', { scope: 'col' }, mark, visibleText(shown?.name ?? id));
    });
    const head = element('tr', {}, element('th', { scope: 'col' }, 'Key'), names);
    fill(
      this.#content,
      wanted.length === 0
        ? emptyNote(rows.length === 0 ? 'This run has no config.' : 'No key has that.')
        : element(
            'table',
            { className: 'config' },
            element('thead', {}, head),
            element('tbody', {}, wanted.map(rowElement)),
          ),
    );
  }
}

function rowElement({ key, values, differs }: ConfigRow): HTMLElement {
  const mark = differs ? element('span', { className: 'differs', title: 'differs' }, '≠ ') : null;
  return element(
    'tr',
    { className: differs ? 'differing' : '' },
    element('th', { scope: 'row' }, mark, visibleText(key)),
    values.map((value) => element('td', {}, visibleText(valueText(value)))),
  );
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function textOf({ key, values }: ConfigRow): string {
  return `${key} ${values.map(valueText).join(' ')}`.toLowerCase();
}

/** Config: the values of the shown runs, key by key, and where they differ. */
import type { ConfigRow, ConfigTable } from '../../api.ts';
import { get } from '../client.ts';
import { div, element, emptyNote, fill, loading, searchField, type Content } from '../dom.ts';
import { countText, valueText } from '../format.ts';
import type { Change } from '../session.ts';
import { cell, row, table } from '../table.ts';
import { colourMark } from '../theme.ts';
import { View } from '../view.ts';
import { visibleText } from '../visible-text.ts';

export class Config extends View {
  readonly #content = element('div', {}, emptyNote(loading));
  readonly #count = element('span', { className: 'soft', attributes: { role: 'status' } });
  readonly #search = searchField('Search keys and values', () => this.#draw());
  readonly #differing = element('input', { type: 'checkbox', on: { change: () => this.#draw() } });
  readonly #differingField = element(
    'label',
    { className: 'field' },
    this.#differing,
    'Differences only',
  );
  readonly element = element(
    'div',
    {},
    div('toolbar', this.#search, this.#differingField, this.#count),
    element('section', { className: 'panel config-table' }, this.#content),
  );
  #table: ConfigTable = { runs: [], rows: [] };

  show(): void {
    const runs = this.session.shown.map(({ id }) => id);
    if (runs.length === 0) return;
    this.fetching.start(async (signal) => {
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
    const of = wanted.length === rows.length ? '' : ` of ${countText(rows.length)}`;
    this.#count.textContent = [
      `${countText(wanted.length)}${of} keys`,
      ...(isSingle ? [] : [`${countText(differing)} differ`]),
    ].join(', ');
    const { shown } = this.session;
    const columns = runs.map((id) => shown.find((run) => run.id === id) ?? { name: id, place: 0 });
    const markOf = (i: number): Content => !isSingle && colourMark(columns[i]!.place);
    const names = columns.map(({ name }, i) => element('span', {}, markOf(i), visibleText(name)));
    fill(
      this.#content,
      wanted.length === 0
        ? emptyNote(rows.length === 0 ? 'This run has no config.' : 'No key has that.')
        : table(
            'config',
            ['Key', ...names],
            wanted.map((each) => configRow(each, markOf)),
          ),
    );
  }
}

/** @param markOf mark of the run of a column, which a narrow page shows at each value */
function configRow(
  { key, values, differs }: ConfigRow,
  markOf: (column: number) => Content,
): HTMLElement {
  const mark = differs ? element('span', { className: 'differs', title: 'differs' }, ' ≠') : null;
  const cells = values.map((value, i) => cell([markOf(i), visibleText(valueText(value))]));
  return row([visibleText(key), mark], cells, differs ? 'differing' : '');
}

function textOf({ key, values }: ConfigRow): string {
  return `${key} ${values.map(valueText).join(' ')}`.toLowerCase();
}

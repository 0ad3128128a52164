/**
 * Tables of views, with one form of heads and cells. On a narrow page each cell of a `stacked` table says its own head.
 */
import { div, element, type Content } from './dom.ts';

/** Head of a column: its name, or the name of a column of numbers, which stand right. */
export type Head = string | HTMLElement | { readonly number: string };

/** A table; what is wider than the page scrolls sideways. */
export function table(
  className: string,
  heads: readonly Head[],
  rows: readonly HTMLElement[],
): HTMLElement {
  return div(
    'scroll-x',
    element(
      'table',
      { className },
      element('thead', {}, element('tr', {}, heads.map(headCell))),
      element('tbody', {}, rows),
    ),
  );
}

/** A row of a table, under the name that it goes by. */
export function row(name: Content, cells: readonly HTMLElement[], className = ''): HTMLElement {
  return element('tr', { className }, element('th', { scope: 'row' }, name), cells);
}

/** A cell. @param label head of its column, which a stacked table shows beside it */
export function cell(content: Content, label: string | null = null): HTMLElement {
  const inside = label === null ? content : element('div', {}, content);
  return element('td', { attributes: { 'data-label': label } }, inside);
}

/** A cell with a number, which stands right. */
export function numberCell(content: Content, label: string | null = null): HTMLElement {
  const made = cell(content, label);
  made.className = 'number';
  return made;
}

function headCell(head: Head): HTMLElement {
  if (typeof head === 'object' && 'number' in head) {
    return element('th', { scope: 'col', className: 'number' }, head.number);
  }
  return element('th', { scope: 'col' }, head);
}

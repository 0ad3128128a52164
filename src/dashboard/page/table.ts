/** Tables of views. On a narrow page each cell of a `stacked` table shows the head of its column. */
import { div, element, type Content } from './dom.ts';

/** Head of a column: its name, or for a column of numbers, which are aligned right, `number` with its name. */
export type Head = string | HTMLElement | { readonly number: string };

/** A table, which scrolls sideways where it is wider than the page. */
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

/** A row of a table with its name as its head. */
export function row(name: Content, cells: readonly HTMLElement[], className = ''): HTMLElement {
  return element('tr', { className }, element('th', { scope: 'row' }, name), cells);
}

/** A cell. @param label head of its column, which a stacked table shows beside it */
export function cell(content: Content, label: string | null = null): HTMLElement {
  const inside = label === null ? content : element('div', {}, content);
  return element('td', { attributes: { 'data-label': label } }, inside);
}

/** A cell with a number, which is aligned right. */
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

/**
 * A list of any length that makes elements only for the rows in sight.
 *
 * All rows have one height, so no row needs to be measured. For readers of screens the list is a listbox with one selected
 * row, whose options have their place among all rows.
 */
import { element, type Content } from './dom.ts';

/** Rows of a list, by number from 0. */
export interface ListRows {
  readonly count: number;
  /** Content of a row, or a note that it is being fetched. */
  row(index: number): Content;
  /** Takes the rows in sight, so that they can be fetched. */
  inSight?(first: number, last: number): void;
  /** Takes the row that the reader chose. */
  chosen?(index: number): void;
}

/** Rows beyond the edges, so that a slow frame shows no gap. */
const OVERSCAN = 6;

export class WindowedList {
  readonly element: HTMLElement;
  readonly #space: HTMLElement;
  readonly #rowHeight: number;
  readonly #id = `list-${crypto.randomUUID()}`;
  #rows: ListRows = { count: 0, row: () => null };
  #selected: number | null = null;
  #isScheduled = false;

  /**
   * @param label      name for readers of screens
   * @param rowHeight  CSS pixels
   * @param classNames further classes of the style sheet
   */
  constructor(label: string, rowHeight: number, ...classNames: readonly string[]) {
    this.#rowHeight = rowHeight;
    this.#space = element('div', { className: 'list-space', attributes: { role: 'presentation' } });
    this.element = element(
      'div',
      {
        className: ['list', ...classNames].join(' '),
        tabIndex: 0,
        attributes: { role: 'listbox', 'aria-label': label },
        style: { '--row-height': `${rowHeight}px` },
        on: {
          scroll: () => this.refresh(),
          keydown: (event) => this.#keydown(event),
          click: (event) => this.#click(event),
        },
      },
      this.#space,
    );
    new ResizeObserver(() => this.refresh()).observe(this.element);
  }

  /** Number of the selected row; null for none. */
  get selected(): number | null {
    return this.#selected;
  }

  /** Shows rows; the place of the scroll and the selection stay. */
  show(rows: ListRows): void {
    this.#rows = rows;
    if (this.#selected !== null && this.#selected >= rows.count) this.#selected = null;
    this.#space.style.height = `${rows.count * this.#rowHeight}px`;
    this.#draw();
  }

  /** Draws the rows in sight again in the next frame, such as when their content was fetched. */
  refresh(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      this.#draw();
    });
  }

  scrollToEnd(): void {
    this.element.scrollTop = this.element.scrollHeight;
    this.#draw();
  }

  /** Selects a row and brings it into sight; null selects none. */
  select(index: number | null): void {
    if (index !== null) this.#reveal(index);
    this.mark(index);
  }

  /** Selects a row without scrolling to it. */
  mark(index: number | null): void {
    this.#selected = index;
    this.#draw();
  }

  #draw(): void {
    const { count } = this.#rows;
    const { scrollTop, clientHeight } = this.element;
    const seen = Math.floor(scrollTop / this.#rowHeight);
    const first = Math.max(0, seen - OVERSCAN);
    const last = Math.min(count - 1, seen + Math.ceil(clientHeight / this.#rowHeight) + OVERSCAN);
    const rows: HTMLElement[] = [];
    for (let i = first; i <= last; i++) rows.push(this.#rowElement(i));
    this.#space.replaceChildren(...rows);
    const active = this.#selected;
    const isDrawn = active !== null && active >= first && active <= last;
    if (isDrawn) this.element.setAttribute('aria-activedescendant', `${this.#id}-${active}`);
    else this.element.removeAttribute('aria-activedescendant');
    if (count > 0) this.#rows.inSight?.(first, last);
  }

  #rowElement(index: number): HTMLElement {
    return element(
      'div',
      {
        className: 'list-row',
        id: `${this.#id}-${index}`,
        attributes: {
          role: 'option',
          'aria-selected': index === this.#selected,
          'aria-posinset': index + 1,
          'aria-setsize': this.#rows.count,
          'data-index': index,
        },
        style: { transform: `translateY(${index * this.#rowHeight}px)` },
      },
      this.#rows.row(index),
    );
  }

  #reveal(index: number): void {
    const [top, { scrollTop, clientHeight }] = [index * this.#rowHeight, this.element];
    const below = top + this.#rowHeight - clientHeight;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (below > scrollTop) this.element.scrollTop = below;
  }

  #click({ target }: MouseEvent): void {
    const row = target instanceof Element ? target.closest('[data-index]') : null;
    if (row instanceof HTMLElement) this.#choose(Number(row.dataset['index']));
  }

  #keydown(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#rowHeight) - 1);
    const [at, end] = [this.#selected, this.#rows.count - 1];
    const target = {
      ArrowDown: (at ?? -1) + 1,
      ArrowUp: (at ?? end + 1) - 1,
      PageDown: (at ?? -1) + page,
      PageUp: (at ?? 0) - page,
      Home: 0,
      End: end,
    }[event.key];
    if (target === undefined || end < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.#choose(Math.min(end, Math.max(0, target)));
  }

  #choose(index: number): void {
    this.select(index);
    this.#rows.chosen?.(index);
  }
}

/**
 * The tabs of the views, after the pattern of the ARIA Authoring Practices: the tab key reaches one of them, and arrow
 * keys go to the others. The address names the view, as in `#metrics`.
 */
import { button, byId, element, fill } from './dom.ts';
import type { Change, Session } from './session.ts';
import type { View, ViewClass } from './view.ts';
import { plainText } from './visible-text.ts';

/** A tab, and the view that it opens. */
export interface Tab {
  /** Name in the address. */
  readonly name: string;
  readonly title: string;
  readonly View: ViewClass;
}

export class Tabs {
  readonly #tabs: readonly Tab[];
  readonly #session: Session;
  readonly #buttons: readonly HTMLElement[];
  readonly #views = new Map<string, View>();
  #open = 0;

  constructor(tabs: readonly Tab[], session: Session) {
    this.#tabs = tabs;
    this.#session = session;
    this.#buttons = tabs.map(({ name, title }, i) =>
      button(title, () => this.open(i), {
        id: `tab-${name}`,
        title: `${title} (${i + 1})`,
        attributes: { role: 'tab', 'aria-controls': 'view' },
        on: { keydown: (event) => this.#keydown(event) },
      }),
    );
    byId('tabs').append(
      element('div', { className: 'tabs', attributes: { role: 'tablist' } }, this.#buttons),
    );
    byId('view').setAttribute('role', 'tabpanel');
    addEventListener('hashchange', () => this.#follow());
    this.#follow();
  }

  get count(): number {
    return this.#tabs.length;
  }

  /** The view in sight. */
  get current(): View {
    const { name, View } = this.#tabs[this.#open]!;
    const view = this.#views.get(name) ?? new View(this.#session);
    this.#views.set(name, view);
    return view;
  }

  /** Opens a view by the place of its tab, from 0. */
  open(place: number): void {
    location.hash = this.#tabs[place]!.name;
  }

  /** Gives a change to the view in sight; other views fetch again when they come into sight. */
  update(change: Change): void {
    const { current } = this;
    if (change.type === 'selection') {
      this.#entitle();
      current.show();
    } else current.update(change);
  }

  /** Opens the view of the address; the first where it names none. */
  #follow(): void {
    const named = this.#tabs.findIndex(({ name }) => `#${name}` === location.hash);
    if (named < 0 && this.#views.size > 0) return;
    this.#open = Math.max(0, named);
    for (const [i, tab] of this.#buttons.entries()) {
      tab.setAttribute('aria-selected', String(i === this.#open));
      tab.tabIndex = i === this.#open ? 0 : -1;
    }
    this.#buttons[this.#open]!.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    const { name, title } = this.#tabs[this.#open]!;
    this.#entitle();
    const panel = byId('view');
    panel.setAttribute('aria-labelledby', `tab-${name}`);
    fill(panel, element('h1', { className: 'hidden' }, title), this.current.element);
    scrollTo(0, 0);
    this.current.show();
  }

  /** Puts the view and the run into the title, for readers who have several pages open. */
  #entitle(): void {
    const { focus } = this.#session;
    const run = focus === null ? [] : [plainText(focus.name)];
    document.title = [this.#tabs[this.#open]!.title, ...run, 'cxmind'].join(' – ');
  }

  #keydown(event: KeyboardEvent): void {
    const end = this.#tabs.length - 1;
    const target = {
      ArrowRight: this.#open === end ? 0 : this.#open + 1,
      ArrowLeft: this.#open === 0 ? end : this.#open - 1,
      Home: 0,
      End: end,
    }[event.key];
    if (target === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.open(target);
    this.#buttons[target]!.focus();
  }
}

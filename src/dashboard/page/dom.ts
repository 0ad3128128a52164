/**
 * Elements of the page, built in code.
 *
 * No string is ever read as markup: a string is text, and text that comes from a run goes through `visibleText`.
 */

/** Content of an element: nodes, the page's own words, numbers, or nothing. */
export type Content = Node | string | number | null | undefined | false | readonly Content[];

/** Properties of an element, with its attributes, styles and listeners in groups. */
export type Properties<E extends Element> = {
  readonly [K in keyof E as E[K] extends string | number | boolean ? K : never]?: E[K];
} & {
  /** Attributes as in HTML, those of ARIA among them; null leaves one out. */
  readonly attributes?: Readonly<Record<string, string | number | boolean | null>>;
  /** Custom properties and styles, set one by one, which a content policy allows. */
  readonly style?: Readonly<Record<string, string>>;
  readonly on?: {
    readonly [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void;
  };
};

/** Makes an element with properties and content. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties<HTMLElementTagNameMap[K]> = {},
  ...content: readonly Content[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  const { attributes = {}, style = {}, on = {}, ...own } = properties;
  Object.assign(made, own);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) made.setAttribute(name, String(value));
  }
  for (const [name, value] of Object.entries(style)) made.style.setProperty(name, value);
  for (const [name, listener] of Object.entries(on)) {
    made.addEventListener(name, listener as (event: Event) => void);
  }
  append(made, content);
  return made;
}

/** A `div` of a class of the style sheet. */
export function div(className: string, ...content: readonly Content[]): HTMLElement {
  return element('div', { className }, content);
}

/** A `span` of a class of the style sheet. */
export function span(className: string, ...content: readonly Content[]): HTMLElement {
  return element('span', { className }, content);
}

/** Replaces the content of an element. */
export function fill(parent: Element, ...content: readonly Content[]): void {
  parent.replaceChildren();
  append(parent, content);
}

/** Replaces the content of an element by content of the same form, with the focus on the same control. */
export function refill(parent: Element, ...content: readonly Content[]): void {
  const controls = () => [...parent.querySelectorAll<HTMLElement>('button, input')];
  const focused = controls().findIndex((control) => control === document.activeElement);
  fill(parent, content);
  controls()[focused]?.focus();
}

function append(parent: Element, content: Content): void {
  if (content === null || content === undefined || content === false) return;
  if (content instanceof Node) parent.append(content);
  else if (typeof content === 'string' || typeof content === 'number')
    parent.append(String(content));
  else for (const each of content) append(parent, each);
}

/** The element of the page that has an id. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element #${id}`);
  return found;
}

/** A button, which its words name for readers of screens. */
export function button(
  words: Content,
  press: () => void,
  properties: Properties<HTMLButtonElement> = {},
): HTMLButtonElement {
  const { on = {}, ...others } = properties;
  return element('button', { type: 'button', ...others, on: { ...on, click: press } }, words);
}

/** Properties of a button that shows only a sign: its name, and the key that presses it. */
export function named(name: string, key: string): Properties<HTMLButtonElement> {
  return { title: `${name} (${key})`, attributes: { 'aria-label': name } };
}

/** A field to search in, with words that say what it searches. */
export function searchField(words: string, changed: () => void): HTMLInputElement {
  return element('input', {
    type: 'search',
    placeholder: words,
    attributes: { 'aria-label': words },
    on: { input: changed },
  });
}

/** Words in a fainter colour. */
export function soft(...content: readonly Content[]): HTMLElement {
  return span('soft', content);
}

/** Words in the place of content that is being fetched. */
export const loading = 'Loading…';

/** A paragraph that says why there is nothing to see. */
export function emptyNote(words: string): HTMLElement {
  return element('p', { className: 'empty' }, words);
}

/** A section of a view under a heading. */
export function panel(title: string, content: Content): HTMLElement {
  return element('section', { className: 'panel' }, element('h2', {}, title), content);
}

/** A card with a value under its name, and soft words under both. */
export function card(name: string, value: Content, more: Content = null): HTMLElement {
  return div('card', span('card-name', name), span('card-value', value), soft(more));
}

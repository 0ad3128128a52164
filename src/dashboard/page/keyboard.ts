/** Keys of the page, and the dialog that lists them. The keys do nothing while the reader writes in a field. */
import { show } from './dialog.ts';
import { element } from './dom.ts';
import type { Tabs } from './tabs.ts';
import { toggleTheme } from './theme.ts';

/** Keys and their effects, in the order of the dialog. */
const keys: readonly (readonly [key: string, words: string])[] = [
  ['1 … 8', 'open a view'],
  ['← →', 'the view beside, on the tabs'],
  ['↑ ↓', 'the row above or below, in lists'],
  ['[ ]', 'the step before or behind'],
  ['/', 'search in the view'],
  ['r', 'compare runs'],
  ['drag', 'look closer, on charts and the timeline'],
  ['double click', 'all of it again'],
  ['t', 'light or dark'],
  ['?', 'this list'],
  ['Esc', 'close a dialog'],
];

/** Shows the list of keys. */
export function showKeys(): void {
  const rows = keys.map(([key, words]) => [
    element('dt', {}, element('kbd', {}, key)),
    element('dd', {}, words),
  ]);
  void show('Keys', element('dl', { className: 'keys' }, rows));
}

/** Listens to keys. @param chooseRuns opens the choice of runs */
export function startKeyboard(tabs: Tabs, chooseRuns: () => void): void {
  addEventListener('keydown', (event) => {
    const { key } = event;
    if (event.altKey || event.ctrlKey || event.metaKey || isWriting(event.target)) return;
    if (document.querySelector('dialog[open]') !== null) return;
    const place = Number(key) - 1;
    if (place >= 0 && place < tabs.count) tabs.open(place);
    else if (key === '?') showKeys();
    else if (key === 't') toggleTheme();
    else if (key === 'r') chooseRuns();
    else if (key === '/') focusSearch();
    else if (key === '[') tabs.current.picker?.turn(-1);
    else if (key === ']') tabs.current.picker?.turn(1);
    else return;
    event.preventDefault();
  });
}

function focusSearch(): void {
  document.querySelector<HTMLInputElement>('#view input[type="search"]')?.focus();
}

function isWriting(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement)
    return target.type !== 'checkbox' && target.type !== 'range';
  return target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

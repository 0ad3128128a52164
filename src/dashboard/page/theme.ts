/** Light and dark: the system's choice, or the reader's own, which the browser keeps. */

import { element } from './dom.ts';

/** A theme that can be shown. */
export type Theme = 'light' | 'dark';

const KEY = 'cxmind-theme';
/** Number of colours for the series of a chart; further series have the same colours again. */
const SERIES_COLOURS = 8;

/** Event of the document after the theme has changed, upon which canvases are drawn again. */
export const themeEvent = 'themechange';

/** Applies the reader's choice, and follows the system where there is none. */
export function startTheme(): void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const apply = (): void => {
    document.documentElement.dataset['theme'] = stored() ?? (system.matches ? 'dark' : 'light');
    document.dispatchEvent(new Event(themeEvent));
  };
  system.addEventListener('change', apply);
  apply();
}

/** The theme that is shown. */
export function currentTheme(): Theme {
  return document.documentElement.dataset['theme'] === 'dark' ? 'dark' : 'light';
}

/** Turns to the other theme, and keeps the choice. */
export function toggleTheme(): void {
  const next: Theme = currentTheme() === 'dark' ? 'light' : 'dark';
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  document.documentElement.dataset['theme'] = next;
  document.dispatchEvent(new Event(themeEvent));
}

/** Colour of the style sheet by the name of its custom property: `ink`, `line`, `series-1`. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Name of the colour of a series, by its place from 0. */
export function seriesColour(place: number): string {
  return `series-${(place % SERIES_COLOURS) + 1}`;
}

/** A mark with the colour of a series. */
export function colourMark(place: number): HTMLElement {
  return element('span', {
    className: 'colour-mark',
    attributes: { 'aria-hidden': true },
    style: { '--colour': `var(--${seriesColour(place)})` },
  });
}

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : null;
  } catch {
    return null;
  }
}

/** The legend of charts that several runs share: the colour of each. */
import { element, fill } from './dom.ts';
import type { ShownRun } from './session.ts';
import { colourMark } from './theme.ts';
import { visibleText } from './visible-text.ts';

/** A legend without runs. */
export function legend(): HTMLElement {
  return element('div', { className: 'legend', attributes: { 'aria-label': 'Runs' } });
}

/** Shows runs in a legend; one run alone needs none. */
export function drawLegend(at: HTMLElement, shown: readonly ShownRun[]): void {
  at.hidden = shown.length < 2;
  fill(
    at,
    shown.map(({ name, place }) => element('span', {}, colourMark(place), visibleText(name))),
  );
}

/** The choice of runs: the focus, and the runs that are compared with it. */
import { show } from './dialog.ts';
import { button, div, element, refill, searchField, soft } from './dom.ts';
import { MAX_SHOWN, type Session } from './session.ts';
import { progressText, stateBadge } from './states.ts';
import { colourMark } from './theme.ts';
import { plainText, visibleText } from './visible-text.ts';

/** Field that chooses the focus, with a button that opens the choice of the others. */
export class RunPicker {
  readonly element: HTMLElement;
  readonly #session: Session;
  readonly #select: HTMLSelectElement;
  readonly #compare: HTMLButtonElement;

  constructor(session: Session) {
    this.#session = session;
    this.#select = element('select', {
      attributes: { 'aria-label': 'Run' },
      on: { change: () => session.setFocus(this.#select.value) },
    });
    this.#compare = button('Compare…', () => void this.choose(), { attributes: { id: 'compare' } });
    this.element = div('run-picker', this.#select, this.#compare);
  }

  /** Shows the runs of the session. */
  draw(): void {
    const { runs, focus, shown } = this.#session;
    const options = runs.map(({ id, name }) => element('option', { value: id }, plainText(name)));
    const words = (all: Iterable<HTMLOptionElement>): string =>
      Array.from(all, ({ value, text }) => `${value} ${text}`).join();
    // A list that is open is not taken from under the reader.
    if (words(options) !== words(this.#select.options)) this.#select.replaceChildren(...options);
    this.#select.value = focus?.id ?? '';
    this.#compare.hidden = runs.length < 2;
    this.#compare.textContent = shown.length > 1 ? `${shown.length} runs…` : 'Compare…';
  }

  /** Opens the choice of the runs that are compared. */
  async choose(): Promise<void> {
    if (this.#session.runs.length < 2) return;
    const list = element('ul', { className: 'choices' });
    const search = searchField('Search runs', () => this.#fill(list, search.value));
    this.#fill(list, '');
    await show('Compare runs', [
      element(
        'p',
        { className: 'soft' },
        `At most ${MAX_SHOWN}, drawn over each other. The run that is open is always among them.`,
      ),
      search,
      list,
    ]);
  }

  #fill(list: HTMLElement, search: string): void {
    const { runs, shown, focus } = this.#session;
    const wanted = runs.filter(({ name }) => name.toLowerCase().includes(search.toLowerCase()));
    const rows = wanted.map((run) => {
      const place = shown.find(({ id }) => id === run.id)?.place;
      const box = element('input', {
        type: 'checkbox',
        checked: place !== undefined,
        disabled: run.id === focus?.id || (place === undefined && shown.length >= MAX_SHOWN),
        on: {
          change: () => {
            this.#session.setShown(run.id, box.checked);
            this.#fill(list, search);
          },
        },
      });
      const mark = place === undefined ? null : colourMark(place);
      const facts = [visibleText(run.name), stateBadge(run.state), soft(progressText(run))];
      return element('li', {}, element('label', {}, box, mark, facts));
    });
    refill(list, rows);
  }
}

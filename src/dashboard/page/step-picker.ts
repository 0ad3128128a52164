/** The choice of a step: the previous one, the next one, one by its number, or always the newest. */
import { button, element, named, soft, span } from './dom.ts';
import { countText } from './format.ts';

export class StepPicker {
  readonly element: HTMLElement;
  readonly #chosen: () => void;
  readonly #back: HTMLButtonElement;
  readonly #forth: HTMLButtonElement;
  readonly #newest: HTMLButtonElement;
  readonly #field: HTMLInputElement;
  readonly #of = soft();
  /** Rising. */
  #steps: readonly number[] = [];
  #step: number | null = null;
  #follows = true;

  /** @param chosen is called when the reader chose another step */
  constructor(chosen: () => void) {
    this.#chosen = chosen;
    this.#back = button('‹', () => this.turn(-1), named('Step before', '['));
    this.#forth = button('›', () => this.turn(1), named('Step behind', ']'));
    this.#newest = button('Newest', () => this.#follow(), { attributes: { 'aria-pressed': true } });
    this.#field = element('input', {
      type: 'number',
      min: '0',
      attributes: { 'aria-label': 'Step' },
      on: { change: () => this.#read() },
    });
    this.element = span(
      'field step-picker',
      'Step',
      this.#back,
      this.#field,
      this.#forth,
      this.#of,
      this.#newest,
    );
  }

  /** The step that the reader asks for; null for the newest. */
  get wanted(): number | null {
    return this.#follows ? null : this.#step;
  }

  /** Shows the step that is drawn, and lets the reader choose among `steps`. */
  show(steps: readonly number[], step: number | null): void {
    this.#steps = steps;
    this.#step = step;
    const [first, last] = [steps[0], steps.at(-1)];
    this.#field.value = step === null ? '' : String(step);
    this.element.hidden = last === undefined;
    this.#of.textContent = last === undefined ? '' : `of ${countText(last)}`;
    this.#back.disabled = step === null || first === undefined || step <= first;
    this.#forth.disabled = step === null || last === undefined || step >= last;
    this.#newest.setAttribute('aria-pressed', String(this.#follows));
  }

  /** Goes to the previous or the next step, if there is one. */
  turn(by: -1 | 1): void {
    const at = this.#steps.indexOf(this.#step ?? NaN);
    const target = this.#steps[at + by];
    if (at >= 0 && target !== undefined) this.#choose(target);
  }

  /** Chooses the step nearest to the number in the field. */
  #read(): void {
    const written = this.#field.valueAsNumber;
    if (Number.isNaN(written) || this.#steps.length === 0) return;
    const distance = (step: number): number => Math.abs(step - written);
    this.#choose(this.#steps.reduce((a, b) => (distance(b) < distance(a) ? b : a)));
  }

  #choose(step: number): void {
    this.#step = step;
    this.#follows = false;
    this.#chosen();
  }

  #follow(): void {
    this.#follows = true;
    this.#chosen();
  }
}

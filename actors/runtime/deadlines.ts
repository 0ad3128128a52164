import { afterTurn, type AskLetter, type TellLetter } from './letter.ts';

/**
 * One timer for the deadlines of all letters to an actor.
 *
 * It rings at the first deadline of those that were open when it was set; letters that are answered before, nearly
 * all, cost it nothing.
 */
export class Deadlines {
  readonly #letters: () => Iterable<AskLetter | TellLetter>;
  readonly #onDue: (letter: AskLetter) => void;
  #timer: NodeJS.Timeout | undefined;
  #ringsAt = Infinity;

  /**
   * @param letters all that are not done
   * @param onDue   called with each open letter whose deadline has passed
   */
  constructor(letters: () => Iterable<AskLetter | TellLetter>, onDue: (letter: AskLetter) => void) {
    this.#letters = letters;
    this.#onDue = onDue;
  }

  /** A letter came. */
  add({ deadline }: AskLetter): void {
    if (deadline < this.#ringsAt) this.#set(deadline);
    else this.#timer?.ref();
  }

  /** No letter is left: the timer may stay, but keeps no process alive. */
  rest(): void {
    this.#timer?.unref();
  }

  /** No letter will come any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #set(ringsAt: number): void {
    clearTimeout(this.#timer);
    this.#ringsAt = ringsAt;
    this.#timer = afterTurn(ringsAt - Date.now(), () => this.#ring());
  }

  #ring(): void {
    const now = Date.now();
    let next = Infinity;
    const due: AskLetter[] = [];
    for (const letter of this.#letters()) {
      if (letter.kind !== 'ask' || letter.isSettled) continue;
      if (letter.deadline <= now) due.push(letter);
      else next = Math.min(next, letter.deadline);
    }
    this.#timer = undefined;
    this.#ringsAt = Infinity;
    if (next < Infinity) this.#set(next);
    due.sort((a, b) => a.deadline - b.deadline);
    for (const letter of due) if (!letter.isSettled) this.#onDue(letter);
  }
}

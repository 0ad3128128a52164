/** A message on its way to an actor. */
export interface Letter {
  readonly id: number;
}

/**
 * The sender's account of a bounded mailbox: at most `capacity` letters are accepted and not done; the rest wait,
 * in order, and their senders with them.
 *
 * Accepted letters sit with the actor already; this side keeps the credits, so the bound holds across any channel.
 */
export class Mailbox<L extends Letter> {
  readonly #capacity: number;
  readonly #onAccept: (letter: L) => void;
  readonly #accepted = new Map<number, L>();
  readonly #waiting = new Map<number, L>();

  /** @param onAccept called for each letter in order, as soon as there is room for it */
  constructor(capacity: number, onAccept: (letter: L) => void) {
    this.#capacity = capacity;
    this.#onAccept = onAccept;
  }

  /** Letters accepted or waiting. */
  get size(): number {
    return this.#accepted.size + this.#waiting.size;
  }

  /** The oldest letter not done: the one the actor works on. */
  get head(): L | undefined {
    return this.#accepted.values().next().value;
  }

  /** Takes a letter, at once or when there is room. */
  put(letter: L): void {
    if (this.#accepted.size < this.#capacity) this.#accept(letter);
    else this.#waiting.set(letter.id, letter);
  }

  get(id: number): L | undefined {
    return this.#accepted.get(id);
  }

  accepted(): IterableIterator<L> {
    return this.#accepted.values();
  }

  /** The letter is done or given up: its room goes to the next in line. */
  release(id: number): L | undefined {
    if (this.#waiting.delete(id)) return undefined;
    const letter = this.#accepted.get(id);
    if (letter === undefined) return undefined;
    this.#accepted.delete(id);
    const next = this.#waiting.values().next().value;
    if (next !== undefined) {
      this.#waiting.delete(next.id);
      this.#accept(next);
    }
    return letter;
  }

  /** Takes out every letter, accepted first; the mailbox is empty afterwards. */
  clear(): L[] {
    const letters = [...this.#accepted.values(), ...this.#waiting.values()];
    this.#accepted.clear();
    this.#waiting.clear();
    return letters;
  }

  #accept(letter: L): void {
    this.#accepted.set(letter.id, letter);
    this.#onAccept(letter);
  }
}

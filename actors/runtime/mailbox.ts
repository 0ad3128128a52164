/** A message on its way to an actor. */
export interface Letter {
  readonly id: number;
}

/**
 * Letters in the order they came, with their ids to find and drop them by.
 *
 * The first is remembered and its iterator kept: a new iterator would step over all that was dropped since the
 * map last shrank, thousands when many wait.
 */
class Line<L extends Letter> {
  readonly #letters = new Map<number, L>();
  #rest = this.#letters.values();
  #first: L | undefined;

  get size(): number {
    return this.#letters.size;
  }

  get first(): L | undefined {
    while (this.#first === undefined || !this.#letters.has(this.#first.id)) {
      const next = this.#rest.next();
      if (next.done === true) {
        this.#first = undefined;
        this.#rest = this.#letters.values();
        break;
      }
      this.#first = next.value;
    }
    return this.#first;
  }

  get(id: number): L | undefined {
    return this.#letters.get(id);
  }

  add(letter: L): void {
    this.#letters.set(letter.id, letter);
  }

  drop(id: number): boolean {
    return this.#letters.delete(id);
  }

  values(): MapIterator<L> {
    return this.#letters.values();
  }

  clear(): void {
    this.#letters.clear();
  }
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
  readonly #accepted = new Line<L>();
  readonly #waiting = new Line<L>();

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
    return this.#accepted.first;
  }

  /** Takes a letter, at once or when there is room. */
  put(letter: L): void {
    if (this.#accepted.size < this.#capacity) this.#accept(letter);
    else this.#waiting.add(letter);
  }

  get(id: number): L | undefined {
    return this.#accepted.get(id);
  }

  accepted(): IterableIterator<L> {
    return this.#accepted.values();
  }

  /** Letters accepted, then those that wait. */
  *letters(): Generator<L, void, undefined> {
    yield* this.#accepted.values();
    yield* this.#waiting.values();
  }

  /** The letter is done or given up: its room goes to the next in line. */
  release(id: number): L | undefined {
    if (this.#waiting.drop(id)) return undefined;
    const letter = this.#accepted.get(id);
    if (letter === undefined) return undefined;
    this.#accepted.drop(id);
    const next = this.#waiting.first;
    if (next !== undefined) {
      this.#waiting.drop(next.id);
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
    this.#accepted.add(letter);
    this.#onAccept(letter);
  }
}

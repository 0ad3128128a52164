/** A message on its way to an actor. */
export interface Letter {
  /** Higher than that of every letter before. */
  readonly id: number;
}

/** Places of a mailbox that was never fuller; a power of two. */
const leastPlaces = 64;

/**
 * The sender's account of a bounded mailbox: at most `capacity` letters are accepted and not done; the rest wait,
 * in order, and their senders with them.
 *
 * Accepted letters sit with the actor already; this side keeps the credits, so the bound holds across any channel.
 *
 * Letters come in the order of their ids and are accepted in it, so they lie in a ring, each at the place that its
 * id says: accepted ones, then those that wait, with holes where a letter was done before an older one. A map of
 * them would be made anew for every few letters that come and go.
 */
export class Mailbox<L extends Letter> {
  readonly #capacity: number;
  readonly #onAccept: (letter: L) => void;
  #places = new Array<L | undefined>(leastPlaces);
  /** The lowest id that may have a place, the lowest that waits, and the one after the last. */
  #first = 0;
  #waitsFrom = 0;
  #end = 0;
  #accepted = 0;
  #waiting = 0;

  /** @param onAccept called for each letter in order, as soon as there is room for it */
  constructor(capacity: number, onAccept: (letter: L) => void) {
    this.#capacity = capacity;
    this.#onAccept = onAccept;
  }

  /** Letters accepted or waiting. */
  get size(): number {
    return this.#accepted + this.#waiting;
  }

  /** The oldest letter not done: the one the actor works on. */
  get head(): L | undefined {
    return this.#accepted === 0 ? undefined : this.#at(this.#first);
  }

  /** Takes a letter, at once or when there is room. */
  put(letter: L): void {
    const { id } = letter;
    if (this.size === 0) this.#first = this.#waitsFrom = this.#end = id;
    while (id - this.#first >= this.#places.length) this.#grow();
    this.#end = id + 1;
    this.#places[id & (this.#places.length - 1)] = letter;
    if (this.#accepted < this.#capacity) {
      this.#accept(letter);
    } else {
      this.#waiting++;
    }
  }

  /** A letter that is accepted. */
  get(id: number): L | undefined {
    return id < this.#waitsFrom ? this.#at(id) : undefined;
  }

  *accepted(): Generator<L, void, undefined> {
    yield* this.#between(this.#first, this.#waitsFrom);
  }

  /** Letters accepted, then those that wait. */
  *letters(): Generator<L, void, undefined> {
    yield* this.#between(this.#first, this.#end);
  }

  /** The letter is done or given up: its room goes to the next in line. */
  release(id: number): L | undefined {
    const letter = this.#at(id);
    if (letter === undefined) return undefined;
    this.#places[id & (this.#places.length - 1)] = undefined;
    if (id >= this.#waitsFrom) {
      this.#waiting--;
      return undefined;
    }
    this.#accepted--;
    if (this.#waiting > 0) {
      let next = this.#waitsFrom;
      while (this.#at(next) === undefined) next++;
      this.#waiting--;
      this.#accept(this.#at(next)!);
    }
    while (this.#first < this.#waitsFrom && this.#at(this.#first) === undefined) this.#first++;
    return letter;
  }

  /** Takes out every letter, accepted first; the mailbox is empty afterwards. */
  clear(): L[] {
    const letters = [...this.letters()];
    this.#places = new Array<L | undefined>(leastPlaces);
    this.#accepted = this.#waiting = 0;
    this.#first = this.#waitsFrom = this.#end;
    return letters;
  }

  #accept(letter: L): void {
    this.#accepted++;
    this.#waitsFrom = letter.id + 1;
    this.#onAccept(letter);
  }

  #at(id: number): L | undefined {
    if (id < this.#first || id >= this.#end) return undefined;
    return this.#places[id & (this.#places.length - 1)];
  }

  *#between(from: number, end: number): Generator<L, void, undefined> {
    for (let id = from; id < end; id++) {
      const letter = this.#at(id);
      if (letter !== undefined) yield letter;
    }
  }

  #grow(): void {
    const places = new Array<L | undefined>(2 * this.#places.length);
    for (const letter of this.letters()) places[letter.id & (places.length - 1)] = letter;
    this.#places = places;
  }
}

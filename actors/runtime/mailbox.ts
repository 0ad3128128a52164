import { CxmindError } from '../../src/errors.ts';

/** A message on its way to an actor. */
export interface Letter {
  /** Higher than that of every letter before. */
  readonly id: number;
}

/** Letters of a chunk, whose ids follow each other; a power of two. */
const chunkLetters = 64;

interface Chunk<L> {
  readonly letters: (L | undefined)[];
  count: number;
}

/**
 * The sender's account of a bounded mailbox: at most `capacity` letters are accepted and not done; the rest wait,
 * in order, and their senders with them.
 *
 * Accepted letters sit with the actor already; this side keeps the credits, so the bound holds across any channel.
 *
 * Letters come in the order of their ids and are accepted in it. They lie in chunks by their ids, accepted ones, then
 * those that wait, with holes where a letter was done or given up before an older one; a chunk of nothing but holes
 * is dropped, so that one letter that takes long does not keep room for all that come and go behind it. (A map of
 * single letters would be made anew for every few of them.)
 */
export class Mailbox<L extends Letter> {
  readonly #capacity: number;
  readonly #onAccept: (letter: L) => void;
  /** By the first id of each, in rising order. The last one stays while it is empty: the next letter goes there. */
  readonly #chunks = new Map<number, Chunk<L>>();
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

  /**
   * Takes a letter, at once or when there is room.
   *
   * @throws INTERNAL for an id that is not higher than the last
   */
  put(letter: L): void {
    const { id } = letter;
    if (id < this.#end) {
      throw new CxmindError('INTERNAL', `mailbox: letter ${id} after letter ${this.#end - 1}`);
    }
    if (this.size === 0) this.#first = this.#waitsFrom = id;
    const chunk = this.#chunkFor(id);
    this.#end = id + 1;
    chunk.letters[placeOf(id)] = letter;
    chunk.count++;
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
    for (const letter of this.letters()) {
      if (letter.id >= this.#waitsFrom) return;
      yield letter;
    }
  }

  /** Letters accepted, then those that wait. */
  *letters(): Generator<L, void, undefined> {
    for (const { letters } of this.#chunks.values()) {
      for (const letter of letters) if (letter !== undefined) yield letter;
    }
  }

  /** The letter is done or given up: its room goes to the next in line. */
  release(id: number): L | undefined {
    const letter = this.#at(id);
    if (letter === undefined) return undefined;
    this.#take(id);
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
    this.#chunks.clear();
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
    return this.#chunks.get(chunkOf(id))?.letters[placeOf(id)];
  }

  #take(id: number): void {
    const at = chunkOf(id);
    const chunk = this.#chunks.get(at)!;
    chunk.letters[placeOf(id)] = undefined;
    chunk.count--;
    if (chunk.count === 0 && at !== chunkOf(this.#end - 1)) this.#chunks.delete(at);
  }

  /** The chunk where the next letter goes: the last one, or a new one. */
  #chunkFor(id: number): Chunk<L> {
    const [last, at] = [chunkOf(this.#end - 1), chunkOf(id)];
    if (last !== at && this.#chunks.get(last)?.count === 0) this.#chunks.delete(last);
    const chunk = this.#chunks.get(at) ?? { letters: new Array<undefined>(chunkLetters), count: 0 };
    this.#chunks.set(at, chunk);
    return chunk;
  }
}

/** The first id of a letter's chunk. */
function chunkOf(id: number): number {
  return id - placeOf(id);
}

function placeOf(id: number): number {
  return id & (chunkLetters - 1);
}

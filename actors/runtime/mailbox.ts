import { CxmindError } from '../../src/errors.ts';

/** A message on its way to an actor. */
export interface Entry {
  /** Higher than that of every entry before. */
  readonly id: number;
}

/** Entries of a chunk, whose ids follow each other; a power of two. */
const chunkEntries = 64;

interface Chunk<E> {
  readonly entries: (E | undefined)[];
  count: number;
}

/**
 * The sender's account of a bounded mailbox: at most `capacity` entries are accepted and not done; the rest wait,
 * in order, and their senders with them.
 *
 * Accepted entries sit with the actor already; this side keeps the credits, so the bound holds across any channel.
 *
 * Entries come in the order of their ids and are accepted in it. They lie in chunks by their ids, accepted ones, then
 * those that wait, with holes where an entry was done or given up before an older one; a chunk of nothing but holes
 * is dropped, so that one entry that takes long does not keep room for all that come and go behind it. (A map of
 * single entries would be made anew for every few of them.)
 */
export class Mailbox<E extends Entry> {
  readonly #capacity: number;
  readonly #onAccept: (entry: E) => void;
  /** By the first id of each, in rising order. The last one stays while it is empty: the next entry goes there. */
  readonly #chunks = new Map<number, Chunk<E>>();
  /** The lowest id that may have a place, the lowest that waits, and the one after the last. */
  #first = 0;
  #waitsFrom = 0;
  #end = 0;
  #accepted = 0;
  #waiting = 0;

  /** @param onAccept called for each entry in order, as soon as there is room for it */
  constructor(capacity: number, onAccept: (entry: E) => void) {
    this.#capacity = capacity;
    this.#onAccept = onAccept;
  }

  /** Entries accepted or waiting. */
  get size(): number {
    return this.#accepted + this.#waiting;
  }

  /** The oldest entry not done: the one the actor works on. */
  get head(): E | undefined {
    return this.#accepted === 0 ? undefined : this.#at(this.#first);
  }

  /**
   * Takes an entry, at once or when there is room.
   *
   * @throws INTERNAL for an id that is not higher than the last
   */
  put(entry: E): void {
    const { id } = entry;
    if (id < this.#end) {
      throw new CxmindError('INTERNAL', `mailbox: message ${id} after message ${this.#end - 1}`);
    }
    if (this.size === 0) this.#first = this.#waitsFrom = id;
    const chunk = this.#chunkFor(id);
    this.#end = id + 1;
    chunk.entries[placeOf(id)] = entry;
    chunk.count++;
    if (this.#accepted < this.#capacity) {
      this.#accept(entry);
    } else {
      this.#waiting++;
    }
  }

  /** An entry that is accepted. */
  get(id: number): E | undefined {
    return id < this.#waitsFrom ? this.#at(id) : undefined;
  }

  *accepted(): Generator<E, void, undefined> {
    for (const entry of this.entries()) {
      if (entry.id >= this.#waitsFrom) return;
      yield entry;
    }
  }

  /** Entries accepted, then those that wait. */
  *entries(): Generator<E, void, undefined> {
    for (const { entries } of this.#chunks.values()) {
      for (const entry of entries) if (entry !== undefined) yield entry;
    }
  }

  /** The entry is done or given up: its room goes to the next in line. */
  release(id: number): E | undefined {
    const entry = this.#at(id);
    if (entry === undefined) return undefined;
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
    return entry;
  }

  /** Takes out every entry, accepted first; the mailbox is empty afterwards. */
  clear(): E[] {
    const entries = [...this.entries()];
    this.#chunks.clear();
    this.#accepted = this.#waiting = 0;
    this.#first = this.#waitsFrom = this.#end;
    return entries;
  }

  #accept(entry: E): void {
    this.#accepted++;
    this.#waitsFrom = entry.id + 1;
    this.#onAccept(entry);
  }

  #at(id: number): E | undefined {
    return this.#chunks.get(chunkOf(id))?.entries[placeOf(id)];
  }

  #take(id: number): void {
    const at = chunkOf(id);
    const chunk = this.#chunks.get(at)!;
    chunk.entries[placeOf(id)] = undefined;
    chunk.count--;
    if (chunk.count === 0 && at !== chunkOf(this.#end - 1)) this.#chunks.delete(at);
  }

  /** The chunk where the next entry goes: the last one, or a new one. */
  #chunkFor(id: number): Chunk<E> {
    const [last, at] = [chunkOf(this.#end - 1), chunkOf(id)];
    if (last !== at && this.#chunks.get(last)?.count === 0) this.#chunks.delete(last);
    const chunk = this.#chunks.get(at) ?? { entries: new Array<undefined>(chunkEntries), count: 0 };
    this.#chunks.set(at, chunk);
    return chunk;
  }
}

/** The first id of an entry's chunk. */
function chunkOf(id: number): number {
  return id - placeOf(id);
}

function placeOf(id: number): number {
  return id & (chunkEntries - 1);
}

import { CxmindError } from '../../src/errors.ts';

/** An entry of a mailbox: a message that is not done. */
interface Entry {
  /** Number that is higher than that of every earlier entry. */
  readonly id: number;
}

/** Number of consecutive ids that share a chunk; a power of two. */
const CHUNK_SIZE = 64;

interface Chunk<E> {
  readonly entries: (E | undefined)[];
  count: number;
}

/**
 * A bounded mailbox, kept at the sender's side.
 *
 * At most `capacity` entries are accepted and not done. An entry is sent when it is accepted. Until then it waits here,
 * and its sender waits with it. So at most `capacity` messages are on their way or with the actor, on any channel. Entries
 * wait only while `capacity` others are accepted.
 *
 * Entries come and are accepted in the order of their ids. There are holes where an entry was done or given up before
 * an older one:
 *
 *   ids     #first ............ #waitsFrom ............ #end
 *           accepted, or holes  waiting, or holes
 *
 * Entries are stored in chunks of consecutive ids. A chunk of nothing but holes is dropped, so an entry that takes long
 * does not keep the memory of all that come and go after it. A `Map` of single entries would do the same. But it keeps
 * the places of deleted entries until it is built anew, which happens all the time then: the process of the actors'
 * benchmark, with 20,000 asks at once, took 492 MiB with such a map and takes 391 with chunks (November 2026).
 */
export class Mailbox<E extends Entry> {
  readonly #capacity: number;
  readonly #onAccept: (entry: E) => void;
  /** Chunks by their first ids, in rising order. Only the last one may be empty: it stays for the next entry. */
  readonly #chunks = new Map<number, Chunk<E>>();
  /** Id of the oldest entry, while there is one. */
  #first = 0;
  /** Id above that of every accepted entry. */
  #waitsFrom = 0;
  /** Id above that of every entry. */
  #end = 0;
  /** Number of accepted entries: those below `#waitsFrom`. */
  #accepted = 0;
  /** Number of waiting entries: all others. */
  #waiting = 0;

  /** @param onAccept called for each entry in order, as soon as there is room for it */
  constructor(capacity: number, onAccept: (entry: E) => void) {
    this.#capacity = capacity;
    this.#onAccept = onAccept;
  }

  /** Number of entries, accepted or waiting. */
  get size(): number {
    return this.#accepted + this.#waiting;
  }

  /** Oldest accepted entry: the one the actor works on. */
  get head(): E | undefined {
    return this.#accepted === 0 ? undefined : this.#entryOf(this.#first);
  }

  /**
   * Adds an entry, which is accepted now or when there is room.
   *
   * @throws INTERNAL for an id that is not higher than the last
   */
  put(entry: E): void {
    const { id } = entry;
    if (id < this.#end) {
      throw new CxmindError('INTERNAL', `mailbox: message ${id} after message ${this.#end - 1}`);
    }
    if (this.size === 0) {
      this.#first = id;
      this.#waitsFrom = id;
    }
    const chunk = this.#chunkFor(id);
    this.#end = id + 1;
    chunk.entries[indexInChunk(id)] = entry;
    chunk.count++;
    if (this.#accepted < this.#capacity) this.#accept(entry);
    else this.#waiting++;
  }

  /** Finds an accepted entry. */
  get(id: number): E | undefined {
    return id < this.#waitsFrom ? this.#entryOf(id) : undefined;
  }

  /** Accepted entries, in order. */
  *accepted(): Generator<E, void, undefined> {
    for (const entry of this.entries()) {
      if (entry.id >= this.#waitsFrom) return;
      yield entry;
    }
  }

  /** All entries, in order. */
  *entries(): Generator<E, void, undefined> {
    for (const { entries } of this.#chunks.values()) {
      for (const entry of entries) if (entry !== undefined) yield entry;
    }
  }

  /**
   * Removes an entry that is done or given up. In place of an accepted one the next in line is accepted, before this
   * returns.
   *
   * @returns the entry if it was accepted; undefined for one that waited, which nobody expects an answer to
   */
  release(id: number): E | undefined {
    const entry = this.#entryOf(id);
    if (entry === undefined) return undefined;
    this.#remove(id);
    if (id >= this.#waitsFrom) {
      this.#waiting--;
      return undefined;
    }
    this.#accepted--;
    this.#first = this.#nextFrom(this.#first);
    if (this.#waiting > 0) {
      this.#waiting--;
      this.#accept(this.#entryOf(this.#nextFrom(this.#waitsFrom))!);
    }
    return entry;
  }

  /** Removes every entry and returns them in order. */
  clear(): E[] {
    const entries = [...this.entries()];
    this.#chunks.clear();
    this.#accepted = 0;
    this.#waiting = 0;
    this.#first = this.#end;
    this.#waitsFrom = this.#end;
    return entries;
  }

  #accept(entry: E): void {
    this.#accepted++;
    this.#waitsFrom = entry.id + 1;
    this.#onAccept(entry);
  }

  /**
   * Id of the oldest entry from an id on; `#end` where there is none.
   *
   * It looks at the ids one by one. Neither end of the accepted entries ever goes back, so each hole is passed over twice
   * at most.
   */
  #nextFrom(id: number): number {
    let next = id;
    while (next < this.#end && this.#entryOf(next) === undefined) next++;
    return next;
  }

  #entryOf(id: number): E | undefined {
    return this.#chunks.get(chunkStart(id))?.entries[indexInChunk(id)];
  }

  #remove(id: number): void {
    const start = chunkStart(id);
    const chunk = this.#chunks.get(start)!;
    chunk.entries[indexInChunk(id)] = undefined;
    chunk.count--;
    if (chunk.count === 0 && start !== chunkStart(this.#end - 1)) this.#chunks.delete(start);
  }

  /** The chunk for the next entry: the last one, or a new one, in whose place an empty last one goes. */
  #chunkFor(id: number): Chunk<E> {
    const start = chunkStart(id);
    const last = this.#end === 0 ? start : chunkStart(this.#end - 1);
    if (last !== start && this.#chunks.get(last)?.count === 0) this.#chunks.delete(last);
    const chunk = this.#chunks.get(start) ?? {
      entries: new Array<undefined>(CHUNK_SIZE),
      count: 0,
    };
    this.#chunks.set(start, chunk);
    return chunk;
  }
}

/** First id of the chunk of an id. */
function chunkStart(id: number): number {
  return id - indexInChunk(id);
}

function indexInChunk(id: number): number {
  return id & (CHUNK_SIZE - 1);
}

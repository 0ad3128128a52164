/**
 * An account has an i32 for each grant of one end of a channel to the other: 1 while the holder has the block, 0 when
 * the holder gave it back, or the granter took it back from a holder that died. The one who turns 1 into 0 takes the
 * reference off the block, so that it is taken off once.
 */
import type { Slab, SlabBlock } from './slab.ts';

/** Most grants that may be open at once in one direction of a channel. */
export const accountSize = 1 << 14;
/** Bytes of an account. */
export const accountBytes = 4 * accountSize;

const open = 1;
const closed = 0;

/** Grants of one end of a channel to the thread at the other end. */
export class Account {
  readonly #words: Int32Array;
  /** Blocks that were granted, by the places of their grants, closed ones included. */
  readonly #grants: SlabBlock[] = [];
  /** Places of closed grants, to be used again. */
  readonly #places: number[] = [];

  constructor(memory: SharedArrayBuffer, offset: number) {
    this.#words = accountWords(memory, offset);
  }

  /** Grants a block that the caller holds, and returns the grant's place; undefined when too many are open. */
  grant(slab: Slab, block: number): number | undefined {
    const place = this.#place();
    if (place === undefined) return undefined;
    this.#grants[place] = { slab, block };
    slab.grant(block);
    Atomics.store(this.#words, place, open);
    return place;
  }

  /** Takes all grants back from a holder that is dead. */
  reclaim(): void {
    for (const [place, grant] of this.#grants.entries()) endGrant(this.#words, place, grant);
  }

  #place(): number | undefined {
    const place = this.#places.pop();
    if (place !== undefined) return place;
    if (this.#grants.length < accountSize) return this.#grants.length;
    for (let at = 0; at < accountSize; at++) {
      if (Atomics.load(this.#words, at) === closed) this.#places.push(at);
    }
    return this.#places.pop();
  }
}

/** The words of an account, which its granter and its holder share. */
export function accountWords(memory: SharedArrayBuffer, offset: number): Int32Array {
  return new Int32Array(memory, offset, accountSize);
}

/** Ends a grant, unless the granter or the holder has. */
export function endGrant(words: Int32Array, place: number, { slab, block }: SlabBlock): void {
  if (Atomics.compareExchange(words, place, open, closed) === open) slab.release(block);
}

/**
 * Finite automata over the bytes of UTF-8.
 *
 * A pattern becomes a nondeterministic automaton (Thompson, 1968). Its deterministic one is made state by state, when
 * a text or a token first comes there (subset construction), so that a large pattern costs no more than is read.
 */
import { CxmindError } from '../../errors.ts';
import type { Pattern, Range } from './pattern.ts';

/** Most states of the nondeterministic automaton, and most parts of patterns that it is made of. */
const MOST_STATES = 20_000;
const MOST_PARTS = 200_000;

/** An edge that reads a byte of a range. */
interface Edge {
  readonly low: number;
  readonly high: number;
  readonly to: number;
}

/** A state of the deterministic automaton. */
export interface State {
  /** States of the nondeterministic one that it stands for. */
  readonly members: readonly number[];
  readonly isAccepting: boolean;
  /** Next state by byte, as far as it was asked for; null where the text cannot go on so. */
  readonly next: Map<number, State | null>;
}

/** The deterministic automaton of a pattern. */
export class Automaton {
  readonly start: State;
  #parts = 0;
  readonly #edges: Edge[][] = [];
  readonly #silent: number[][] = [];
  readonly #end: number;
  readonly #states = new Map<string, State>();

  /** @throws DATA_INVALID for a pattern that is too large */
  constructor(pattern: Pattern) {
    const begin = this.#state();
    this.#end = this.#add(pattern, begin);
    this.start = this.#closure([begin]);
  }

  /** The state after a byte; null where no text of the pattern goes on so. */
  step(state: State, byte: number): State | null {
    const known = state.next.get(byte);
    if (known !== undefined) return known;
    const reached: number[] = [];
    for (const member of state.members) {
      for (const { low, high, to } of this.#edges[member]!) {
        if (low <= byte && byte <= high) reached.push(to);
      }
    }
    const next = reached.length === 0 ? null : this.#closure(reached);
    state.next.set(byte, next);
    return next;
  }

  #state(): number {
    if (this.#edges.length >= MOST_STATES) throw tooLarge();
    this.#silent.push([]);
    return this.#edges.push([]) - 1;
  }

  /** Adds a pattern after a state. @returns the state after the pattern */
  #add(pattern: Pattern, from: number): number {
    if (++this.#parts > MOST_PARTS) throw tooLarge();
    switch (pattern.kind) {
      case 'set': {
        const to = this.#state();
        for (const range of pattern.ranges) this.#addRange(range, from, to);
        return to;
      }
      case 'sequence':
        return pattern.parts.reduce((at, part) => this.#add(part, at), from);
      case 'choice': {
        const to = this.#state();
        for (const option of pattern.options) {
          const begin = this.#state();
          this.#silent[from]!.push(begin);
          this.#silent[this.#add(option, begin)]!.push(to);
        }
        return to;
      }
      case 'repeat':
        return this.#addRepeat(pattern, from);
    }
  }

  #addRepeat({ of, least, most }: Pattern & { kind: 'repeat' }, from: number): number {
    let at = from;
    for (let i = 0; i < least; i++) at = this.#add(of, at);
    if (most === Infinity) {
      const loop = this.#state();
      this.#silent[at]!.push(loop);
      this.#silent[this.#add(of, loop)]!.push(loop);
      return loop;
    }
    const to = this.#state();
    for (let i = least; i < most; i++) {
      this.#silent[at]!.push(to);
      const begin = this.#state();
      this.#silent[at]!.push(begin);
      at = this.#add(of, begin);
    }
    this.#silent[at]!.push(to);
    return to;
  }

  /** Adds the bytes of a range of code points. */
  #addRange(range: Range, from: number, to: number): void {
    for (const bytes of byteRanges(range)) {
      let at = from;
      for (const [i, [low, high]] of bytes.entries()) {
        const next = i === bytes.length - 1 ? to : this.#state();
        this.#edges[at]!.push({ low, high, to: next });
        at = next;
      }
    }
  }

  /** The deterministic state of some states and those that silent edges lead to. */
  #closure(members: readonly number[]): State {
    const reached = new Set(members);
    for (const member of reached) for (const to of this.#silent[member]!) reached.add(to);
    const sorted = [...reached].sort((a, b) => a - b);
    const key = sorted.join();
    let state = this.#states.get(key);
    if (state === undefined) {
      state = { members: sorted, isAccepting: reached.has(this.#end), next: new Map() };
      this.#states.set(key, state);
    }
    return state;
  }
}

function tooLarge(): CxmindError {
  return new CxmindError('DATA_INVALID', `a pattern of more than ${MOST_STATES} states`);
}

/** Last code points of one, two, three and four bytes. */
const LAST_OF_LENGTH = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/** Ranges of code points as sequences of ranges of bytes, in UTF-8. */
function byteRanges([low, high]: Range): Range[][] {
  const end = LAST_OF_LENGTH.find((last) => low <= last)!;
  if (high > end) return [...byteRanges([low, end]), ...byteRanges([end + 1, high])];
  // Bytes after the first have six bits each. Cut where these do not run from all zeros to all ones.
  for (let bits = 6; bits <= 18 && end > 0x7f; bits += 6) {
    const mask = 2 ** bits - 1;
    if (low >>> bits === high >>> bits) break;
    const lowEnd = low | mask;
    if ((low & mask) !== 0)
      return [...byteRanges([low, lowEnd]), ...byteRanges([lowEnd + 1, high])];
    const highStart = high & ~mask;
    if ((high & mask) !== mask) {
      return [...byteRanges([low, highStart - 1]), ...byteRanges([highStart, high])];
    }
  }
  const encoder = new TextEncoder();
  const [first, last] = [low, high].map((code) => encoder.encode(String.fromCodePoint(code)));
  return [Array.from(first!, (byte, i): Range => [byte, last![i]!])];
}

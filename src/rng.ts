/**
 * Counter-based randomness.
 *
 * The value at (key, counter) needs no state but those two numbers, so a stream can be split, saved and resumed, and a
 * retry anywhere draws the same numbers. A draw mixes the counter and the two halves of the key, one after the other, by
 * the hash of SplitMix32. It is good enough for sampling and shuffling, not for cryptography.
 */

/** State of a stream, which a checkpoint keeps. */
export interface RngState {
  readonly key: readonly [number, number];
  readonly counter: number;
}

/** The hash of SplitMix32. */
function mix(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x21f0aaad);
  h ^= h >>> 15;
  h = Math.imul(h, 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}

/** A 64-bit key, as two 32-bit halves, from any numbers and strings that name a stream. */
export function keyOf(...parts: readonly (number | string)[]): [number, number] {
  let low = 0x9e3779b9;
  let high = 0x85ebca6b;
  const absorb = (word: number): void => {
    low = mix(low ^ word);
    high = mix((high + word + Math.imul(low, 0xc2b2ae35)) | 0);
  };
  for (const part of parts) {
    if (typeof part === 'number') {
      absorb(part | 0);
      absorb(Math.floor(part / 2 ** 32) | 0);
    } else {
      for (let i = 0; i < part.length; i++) absorb(part.charCodeAt(i) + 1);
      absorb(0);
    }
  }
  return [low, high];
}

/** A stream of random numbers named by its parts: `new Rng(keyOf('rollout', seed, step, sample))`. */
export class Rng {
  readonly #key: readonly [number, number];
  #counter: number;

  constructor(key: readonly [number, number], counter = 0) {
    this.#key = key;
    this.#counter = counter;
  }

  /** State of the stream: `new Rng(state.key, state.counter)` continues it. */
  get state(): RngState {
    return { key: this.#key, counter: this.#counter };
  }

  /** Draws a uniform 32-bit unsigned integer. */
  nextUint32(): number {
    const counter = this.#counter++;
    const low = mix(this.#key[0] ^ mix((counter | 0) + 0x9e3779b9));
    return mix(this.#key[1] ^ low ^ Math.imul(Math.floor(counter / 2 ** 32) + 1, 0x27d4eb2f));
  }

  /** Draws a uniform number in [0, 1) with 53 bits. */
  nextUniform(): number {
    return ((this.nextUint32() >>> 5) * 67108864 + (this.nextUint32() >>> 6)) / 2 ** 53;
  }

  /** Draws a standard normal number (Box-Muller, two uniforms a draw). */
  nextNormal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.nextUniform()));
    return radius * Math.cos(2 * Math.PI * this.nextUniform());
  }

  /** Draws a uniform integer in [0, bound). */
  nextBelow(bound: number): number {
    return Math.floor(this.nextUniform() * bound);
  }

  /** Draws `count` items, each at most once, in random order; all of them where there are fewer. */
  drawn<T>(items: readonly T[], count: number): T[] {
    const rest = [...items];
    const length = Math.min(count, rest.length);
    return Array.from({ length }, () => rest.splice(this.nextBelow(rest.length), 1)[0]!);
  }
}

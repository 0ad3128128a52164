const STATE_SIZE = 624;

/** MT19937, the generator that PyTorch shuffles with. */
export class MersenneTwister {
  readonly #state = new Uint32Array(STATE_SIZE);
  #next = STATE_SIZE;

  constructor(seed: number) {
    this.#state[0] = seed;
    for (let i = 1; i < STATE_SIZE; i++) {
      const previous = this.#state[i - 1]! ^ (this.#state[i - 1]! >>> 30);
      this.#state[i] = Math.imul(previous, 1812433253) + i;
    }
  }

  /** A raw 32-bit output. */
  nextUint32(): number {
    if (this.#next === STATE_SIZE) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < STATE_SIZE; i++) {
      const following = state[(i + 1) % STATE_SIZE]!;
      const mixed = (state[i]! & 0x80000000) | (following & 0x7fffffff);
      const twisted = (mixed >>> 1) ^ (following & 1 ? 0x9908b0df : 0);
      state[i] = state[(i + 397) % STATE_SIZE]! ^ twisted;
    }
    this.#next = 0;
  }
}

/** A permutation of 0…n-1 by Fisher-Yates from the front, one raw output a swap. */
export function permutation(generator: MersenneTwister, n: number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = 0; i < n - 1; i++) {
    const j = i + (generator.nextUint32() % (n - i));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/**
 * The order of each epoch of `n` rows.
 *
 * Epoch e is permutation number 2e of one generator: the reference's sampler draws one more after
 * every epoch and throws it away.
 */
export class EpochOrder {
  readonly #n: number;
  readonly #seed: number;
  #generator: MersenneTwister;
  #drawn = 0;

  /** @param seed as for PyTorch's generator */
  constructor(n: number, seed: number) {
    this.#n = n;
    this.#seed = seed;
    this.#generator = new MersenneTwister(seed);
  }

  /** The order of an epoch; going back starts the generator anew. */
  order(epoch: number): Uint32Array {
    if (this.#drawn > 2 * epoch) {
      this.#generator = new MersenneTwister(this.#seed);
      this.#drawn = 0;
    }
    for (; this.#drawn < 2 * epoch; this.#drawn++) permutation(this.#generator, this.#n);
    this.#drawn++;
    return permutation(this.#generator, this.#n);
  }
}

/** Shuffled orders of rows, number for number those of PyTorch's RandomSampler. */
import { mersenne } from 'pure-rand/generator/mersenne';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

/**
 * Permutation of 0…n-1 by Fisher-Yates from the front, one raw 32-bit output for each swap.
 *
 * @see `torch.randperm` on the CPU
 */
export function permutation(generator: RandomGenerator, n: number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = 0; i < n - 1; i++) {
    const j = i + ((generator.next() >>> 0) % (n - i));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/**
 * Order of each epoch of `n` rows, drawn with MT19937.
 *
 * Epoch e is permutation number 2e of one generator: the sampler draws one more permutation after each epoch and
 * throws it away.
 */
export class EpochOrder {
  readonly #n: number;
  readonly #seed: number;
  #generator: RandomGenerator;
  #drawn = 0;

  /** @param seed seed of PyTorch's generator */
  constructor(n: number, seed: number) {
    this.#n = n;
    this.#seed = seed;
    this.#generator = mersenne(seed);
  }

  /** Order of an epoch. Going back to an earlier epoch starts the generator anew. */
  order(epoch: number): Uint32Array {
    if (this.#drawn > 2 * epoch) {
      this.#generator = mersenne(this.#seed);
      this.#drawn = 0;
    }
    for (; this.#drawn < 2 * epoch; this.#drawn++) permutation(this.#generator, this.#n);
    this.#drawn++;
    return permutation(this.#generator, this.#n);
  }
}

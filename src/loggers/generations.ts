/**
 * The answers of a validation that loggers show: those to the same prompts every time, so that they can be followed.
 *
 * The prompts are the reference's: drawn by the shuffle of NumPy's legacy generator, MT19937, with its seed.
 */
import { mersenne } from 'pure-rand/generator/mersenne';
import type { Generation } from './logger.ts';

const SHUFFLE_SEED = 42;

/**
 * The answers that are shown: sorted by prompt, shuffled with a fixed seed, the first `count`.
 *
 * @see EasyR1's `_maybe_log_val_generations`
 */
export function chosenGenerations(all: readonly Generation[], count: number): Generation[] {
  const keyed = all.map((generation) => ({ generation, key: Buffer.from(generation.input) }));
  // UTF-8 bytes compare as code points do, UTF-16 units do not.
  const sorted = keyed.sort((a, b) => Buffer.compare(a.key, b.key));
  const order = legacyShuffle(sorted.length, SHUFFLE_SEED);
  return order.slice(0, count).map((i) => sorted[i]!.generation);
}

/**
 * 0…n-1 as NumPy's legacy generator shuffles them: from the end, each place swapped with one drawn at or before it.
 *
 * A draw keeps the low bits of a raw 32-bit output, as many as the largest wanted value has, and is repeated above that
 * value.
 */
export function legacyShuffle(n: number, seed: number): number[] {
  const generator = mersenne(seed);
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const mask = 2 ** (32 - Math.clz32(i)) - 1;
    let j: number;
    do j = (generator.next() & mask) >>> 0;
    while (j > i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

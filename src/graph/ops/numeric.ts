/** Functions of numbers in double precision, for the reference kernels of ops (`Op.evaluate`). */
import type { DType } from '../../tensor/dtype.ts';

/**
 * The error function to double precision: Maclaurin series for small arguments, the continued
 * fraction of erfc beyond.
 *
 * @see Abramowitz & Stegun 7.1.5 and 7.1.14
 */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
      if (n > 200) break;
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction));
}

/** The logarithm of the sum of the exponentials of numbers; -Infinity where there are none. */
export function logSumExpOf(numbers: Iterable<number>): number {
  let top = -Infinity;
  for (const x of numbers) top = Math.max(top, x);
  let sum = 0;
  for (const x of numbers) sum += Math.exp(x - top);
  return top + Math.log(sum);
}

/** The change that a cast makes to a number. The evaluator rounds to float dtypes, as after every op. */
export function truncateTo(dtype: DType): (value: number) => number {
  switch (dtype) {
    case 'f32':
    case 'f16':
    case 'bf16':
      return (value) => value;
    case 'bool':
      return (value) => Number(value !== 0);
    case 'u8':
      return (value) => Math.trunc(value) & 0xff;
    case 'i32':
    case 'i64':
      return Math.trunc;
    default:
      return dtype satisfies never;
  }
}

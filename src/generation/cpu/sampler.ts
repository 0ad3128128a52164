import type { View } from '../../device/device.ts';
import { readTensor } from '../../device/host-tensors.ts';
import { drawOf, type Draw, type DrawRequest, type Sampler, type Sampling } from '../sampler.ts';

/** Draws on the CPU, from distributions in this process's memory or a copy of them. */
export class HostSampler implements Sampler {
  async draw(distributions: View, requests: readonly DrawRequest[]): Promise<Draw[]> {
    const { data, shape } = await readTensor(distributions);
    const width = shape[1]!;
    return requests.map(({ row, sampling, uniform }) =>
      sampleToken(
        (data as Float32Array).subarray(row * width, (row + 1) * width),
        sampling,
        uniform,
      ),
    );
  }

  /** Does nothing: it holds no memory. */
  [Symbol.dispose](): void {}
}

/** The most likely token; the first of equals. */
function argmax(probabilities: Float32Array): number {
  let best = 0;
  for (let i = 1; i < probabilities.length; i++) {
    if (probabilities[i]! > probabilities[best]!) best = i;
  }
  return best;
}

/**
 * Inverse-CDF draw: the first index at which the running sum of `weights` exceeds `target`. Where rounding keeps the
 * sum below it, the last positive weight is drawn.
 */
function drawFrom(weights: Float32Array, target: number): number {
  let remaining = target;
  let i = 0;
  // The sums of four weights do not depend on what remains, so the CPU computes them ahead.
  for (; i + 4 <= weights.length; i += 4) {
    const four = weights[i]! + weights[i + 1]! + (weights[i + 2]! + weights[i + 3]!);
    if (remaining < four) break;
    remaining -= four;
  }
  for (; i < weights.length; i++) {
    remaining -= weights[i]!;
    if (remaining < 0) return i;
  }
  let last = weights.length - 1;
  while (last > 0 && weights[last]! <= 0) last--;
  return last;
}

/** Shifts of a probability's three digits of 10 bits, the leading first: the bits of 1 are 30. */
const DIGIT_SHIFTS = [20, 10, 0];
const DIGITS = 1024;

/**
 * The smallest set of most likely tokens that is enough; of equals the lower id is likelier.
 *
 * This is a radix selection, since bit patterns of non-negative floats are ordered as the floats are: it counts tokens
 * and their mass by digit, keeps all above the digit at which the set becomes enough, and continues inside that digit.
 *
 * @param tokens ids to choose from, equals in ascending order
 * @param isEnough tells whether this number of tokens of this mass is enough
 */
function fewest(
  tokens: Uint32Array,
  probabilities: Float32Array,
  isEnough: (count: number, mass: number) => boolean,
): Uint32Array {
  const { buffer, byteOffset, length } = probabilities;
  const bits = new Uint32Array(buffer, byteOffset, length);
  const kept = new Uint32Array(tokens.length);
  const counts = new Uint32Array(DIGITS);
  const masses = new Float64Array(DIGITS);
  let [count, mass] = [0, 0];
  let open = tokens;
  for (const shift of DIGIT_SHIFTS) {
    counts.fill(0);
    masses.fill(0);
    for (let i = 0; i < open.length; i++) {
      const digit = (bits[open[i]!]! >>> shift) % DIGITS;
      counts[digit]!++;
      masses[digit]! += probabilities[open[i]!]!;
    }
    let at = count;
    let last = DIGITS - 1;
    for (; last >= 0; last--) {
      if (counts[last] === 0) continue;
      if (isEnough(count + counts[last]!, mass + masses[last]!)) break;
      count += counts[last]!;
      mass += masses[last]!;
    }
    const undecided = new Uint32Array(last < 0 ? 0 : counts[last]!);
    for (let i = 0, u = 0; i < open.length; i++) {
      const digit = (bits[open[i]!]! >>> shift) % DIGITS;
      if (digit > last) kept[at++] = open[i]!;
      if (digit === last) undecided[u++] = open[i]!;
    }
    open = undecided;
  }
  for (const token of open) {
    kept[count++] = token;
    mass += probabilities[token]!;
    if (isEnough(count, mass)) break;
  }
  return kept.subarray(0, count);
}

/** The tokens that top-k keeps, and of these top-p; at least one. */
function nucleus(probabilities: Float32Array, { topK, topP }: Sampling): Uint32Array {
  const all = new Uint32Array(probabilities.length);
  for (let token = 0; token < all.length; token++) all[token] = token;
  const kept = topK > 0 ? fewest(all, probabilities, (count) => count >= topK) : all;
  if (topP >= 1) return kept;
  const total = kept.reduce((sum, token) => sum + probabilities[token]!, 0);
  return fewest(kept, probabilities, (_, mass) => mass >= topP * total);
}

/**
 * One token drawn from a distribution over the vocabulary.
 *
 * The log-probability is of the whole tempered distribution, before top-k and top-p, as the trainer's
 * own log-probabilities are.
 *
 * @param probabilities f32 `[V]`, softmax of logits over temperature (of the plain logits when greedy)
 * @param uniform in [0, 1); decides the draw, but for a greedy one
 * @throws NUMERIC_NONFINITE when the probabilities are not numbers
 */
export function sampleToken(
  probabilities: Float32Array,
  sampling: Sampling,
  uniform: number,
): Draw {
  const token = pick(probabilities, sampling, uniform);
  return drawOf(token, Math.log(probabilities[token] ?? NaN));
}

function pick(probabilities: Float32Array, sampling: Sampling, uniform: number): number {
  if (sampling.temperature === 0) return argmax(probabilities);
  // Softmax made them sum to 1 but for rounding, which `drawFrom` allows for.
  if (sampling.topK <= 0 && sampling.topP >= 1) return drawFrom(probabilities, uniform);
  // In the order of tokens, not of the digits by which they were found: every device draws alike.
  const kept = nucleus(probabilities, sampling).sort();
  const weights = Float32Array.from(kept, (token) => probabilities[token]!);
  const mass = weights.reduce((sum, weight) => sum + weight, 0);
  return kept[drawFrom(weights, uniform * mass)]!;
}

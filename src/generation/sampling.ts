import type { Rng } from '../rng.ts';

/** How the next token is drawn; `temperature` 0 is greedy, `topK` -1 and `topP` 1 are off. */
export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
}

/** A drawn token and its log-probability under the full, tempered distribution. */
export interface Draw {
  readonly token: number;
  readonly logProb: number;
}

/** The most likely token; the first of equals. */
function argmax(probabilities: Float32Array): number {
  let best = 0;
  for (let i = 1; i < probabilities.length; i++) {
    if (probabilities[i]! > probabilities[best]!) best = i;
  }
  return best;
}

/** Inverse-CDF draw from unnormalised `weights`; rounding at the end falls on the last positive weight. */
function drawFrom(weights: ArrayLike<number>, total: number, uniform: number): number {
  let remaining = uniform * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!;
    if (weight <= 0) continue;
    last = i;
    remaining -= weight;
    if (remaining < 0) break;
  }
  return last;
}

/** The kept tokens of top-k, then top-p, most likely first; at least one. */
function nucleus(probabilities: Float32Array, { topK, topP }: Sampling): Uint32Array {
  const order = Uint32Array.from(probabilities.keys()).sort(
    (a, b) => probabilities[b]! - probabilities[a]! || a - b,
  );
  const kept = topK > 0 ? order.subarray(0, topK) : order;
  if (topP >= 1) return kept;
  const total = kept.reduce((sum, token) => sum + probabilities[token]!, 0);
  let cumulative = 0;
  let count = 0;
  while (count < kept.length && cumulative < topP * total) {
    cumulative += probabilities[kept[count++]!]!;
  }
  return kept.subarray(0, Math.max(1, count));
}

/**
 * One token drawn from a distribution over the vocabulary.
 *
 * The log-probability is of the whole tempered distribution, before top-k and top-p, as the trainer's
 * own log-probabilities are.
 *
 * @param probabilities f32 `[V]`, softmax of logits over temperature (of the plain logits when greedy)
 */
export function sampleToken(probabilities: Float32Array, sampling: Sampling, rng: Rng): Draw {
  const token = pick(probabilities, sampling, rng);
  return { token, logProb: Math.log(probabilities[token]!) };
}

function pick(probabilities: Float32Array, sampling: Sampling, rng: Rng): number {
  if (sampling.temperature === 0) return argmax(probabilities);
  const uniform = rng.nextUniform();
  if (sampling.topK <= 0 && sampling.topP >= 1) return drawFrom(probabilities, 1, uniform);
  const kept = nucleus(probabilities, sampling);
  const weights = Float64Array.from(kept, (token) => probabilities[token]!);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return kept[drawFrom(weights, total, uniform)]!;
}

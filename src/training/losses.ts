/** The losses of policy and critic as updates call them: over the scores of a micro-batch's samples, end to end. */
import type { LossTotals } from '../algorithms/loss-average.ts';
import { policyLoss, type PolicyLossOptions } from '../algorithms/policy-loss.ts';
import { sum, tokenRows, type TokenRows } from '../algorithms/primitives.ts';
import { valueLoss, type ValueLossOptions } from '../algorithms/value-loss.ts';
import { prefixed } from '../metrics.ts';
import type { SequenceInput } from '../model/pack.ts';
import {
  concatenate,
  type Experience,
  type MaskedInput,
  type ValueExperience,
} from './experience.ts';

/** Metrics of a micro-batch, and the derivative of its loss by each score and each entropy, f32 `[T]`. */
export interface LossResult {
  readonly metrics: Readonly<Record<string, number>>;
  readonly gradient: Float32Array;
  /** Left out where the loss does not depend on entropies. */
  readonly entropyGradient?: Float32Array | undefined;
}

/**
 * The loss of a micro-batch, by the network's scores of its response tokens, f32 `[T]`, sample after sample.
 *
 * @param whole     counts of the mini-batch that it is part of
 * @param entropies of a policy's distributions at these tokens, f32 `[T]`, nats; for a loss that reads them
 */
export type Loss<S extends SequenceInput> = (
  samples: readonly S[],
  scores: Float32Array,
  whole: LossTotals,
  entropies?: Float32Array,
) => LossResult;

/** The policy loss over log-probabilities, with metrics under `actor/…`. */
export function policyLossOf(options: PolicyLossOptions): Loss<Experience> {
  return (samples, logProbs, whole, entropies) => {
    const refLogProbs = samples.flatMap((sample) => sample.refLogProbs ?? []);
    const input = {
      ...responseRows(samples),
      whole,
      logProbs,
      entropies,
      oldLogProbs: concatenate(samples.map((sample) => sample.oldLogProbs)),
      advantages: concatenate(samples.map((sample) => sample.advantages)),
      ...(options.useKlLoss ? { refLogProbs: concatenate(refLogProbs) } : {}),
    };
    const { metrics, gradient, entropyGradient } = policyLoss(input, options);
    return { metrics: prefixed('actor', metrics), gradient, entropyGradient };
  };
}

/** The value loss over a critic's values, with metrics under `critic/…`. */
export function valueLossOf(options: ValueLossOptions): Loss<ValueExperience> {
  return (samples, values, whole) => {
    const input = {
      ...responseRows(samples),
      whole,
      values,
      oldValues: concatenate(samples.map(({ oldValues }) => oldValues)),
      returns: concatenate(samples.map(({ returns }) => returns)),
    };
    const { metrics, gradient } = valueLoss(input, options);
    return { metrics: prefixed('critic', metrics), gradient };
  };
}

/** The tokens of responses, end to end, with a mask where one of the samples has one. */
export function responseRows(
  samples: readonly Pick<MaskedInput, 'response' | 'mask'>[],
): TokenRows {
  const lengths = samples.map(({ response }) => response.data.length);
  if (samples.every(({ mask }) => !mask)) return tokenRows(lengths);
  const counted = new Uint8Array(sum(lengths)).fill(1);
  let at = 0;
  for (const [i, { mask }] of samples.entries()) {
    if (mask) counted.set(mask.data, at);
    at += lengths[i]!;
  }
  return tokenRows(lengths, counted);
}

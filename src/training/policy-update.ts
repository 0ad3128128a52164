import {
  microBatchScale,
  policyLoss,
  type PolicyLossMetrics,
  type PolicyLossOptions,
} from '../algorithms/policy-loss.ts';
import { tokenRows } from '../algorithms/primitives.ts';
import { packSequences } from '../model/pack.ts';
import type { Policy } from '../model/policy.ts';
import { concatenate, type Experience } from './experience.ts';
import { microBatches, type MicroBatchOptions } from './micro-batches.ts';
import type { Optimization } from './optimization.ts';

/** What an update needs to know besides the experiences. */
export interface UpdateOptions {
  readonly loss: PolicyLossOptions;
  /** Samples of one optimizer step. */
  readonly miniBatchSize: number;
  readonly microBatch: MicroBatchOptions;
  /** Passes over the experiences. */
  readonly epochs: number;
  /** Divides the logits, as it did when the responses were sampled. */
  readonly temperature: number;
  readonly learningRate: number;
}

/** Lists of metric values, one per micro-batch or per optimizer step, under `actor/…` names. */
export type MetricLists = Record<string, number[]>;

/**
 * One training step's updates of the policy: for each epoch and each mini-batch, in order, gradients
 * of all micro-batches are accumulated, clipped and applied.
 *
 * Micro-batch losses are weighted by their share of the mini-batch's response tokens, so `token`
 * averaging is one mean over all tokens however they are divided.
 *
 * @see spec of EasyR1's `update_policy`, the newer form
 */
export function updatePolicy(
  policy: Policy,
  optimization: Optimization,
  experiences: readonly Experience[],
  options: UpdateOptions,
  onProgress?: (done: number) => void,
): MetricLists {
  const metrics: MetricLists = {};
  const log = (name: string, value: number): void => {
    (metrics[name] ??= []).push(value);
  };
  let done = 0;
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    for (let start = 0; start < experiences.length; start += options.miniBatchSize) {
      const miniBatch = experiences.slice(start, start + options.miniBatchSize);
      const miniBatchTokens = tokensOf(miniBatch);
      optimization.clearGradients();
      for (const indices of microBatches(miniBatch, options.microBatch)) {
        const microBatch = indices.map((i) => miniBatch[i]!);
        const scale = microBatchScale(tokensOf(microBatch), miniBatchTokens, 1);
        const loss = accumulate(policy, optimization, microBatch, options, scale);
        for (const [name, value] of Object.entries<number>({ ...loss }))
          log(`actor/${name}`, value);
        done += microBatch.length;
        onProgress?.(done);
      }
      log('actor/grad_norm', optimization.step(options.learningRate).gradientNorm);
    }
  }
  return metrics;
}

function tokensOf(samples: readonly Experience[]): number {
  return samples.reduce((sum, { response }) => sum + response.data.length, 0);
}

function accumulate(
  policy: Policy,
  optimization: Optimization,
  samples: readonly Experience[],
  { loss, temperature }: UpdateOptions,
  scale: number,
): PolicyLossMetrics {
  const refLogProbs = samples.flatMap((sample) => sample.refLogProbs ?? []);
  let metrics: PolicyLossMetrics | undefined;
  policy.accumulateGradients(
    packSequences(samples),
    temperature,
    (logProbs) => {
      const result = policyLoss(
        {
          ...tokenRows(samples.map(({ response }) => response.data.length)),
          logProbs,
          oldLogProbs: concatenate(samples.map((sample) => sample.oldLogProbs)),
          advantages: concatenate(samples.map((sample) => sample.advantages)),
          ...(loss.useKlLoss ? { refLogProbs: concatenate(refLogProbs) } : {}),
        },
        loss,
      );
      metrics = result.metrics;
      return result.gradient.map((value) => value * scale);
    },
    optimization.gradients,
  );
  return metrics!;
}

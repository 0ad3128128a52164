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
import { responseTokensOf, type MiniBatch } from './mini-batches.ts';
import type { Optimization } from './optimization.ts';

/** What an update needs to know besides the experiences. */
export interface UpdateOptions {
  readonly loss: PolicyLossOptions;
  readonly microBatch: MicroBatchOptions;
  /** Passes over the experiences. */
  readonly epochs: number;
  /** Divides the logits, as it did when the responses were sampled. */
  readonly temperature: number;
  readonly learningRate: number;
}

/** Lists of metric values, one per optimizer step, under `actor/…` names. */
export type MetricLists = Record<string, number[]>;

/** What a learner reports of an update. */
export interface PolicyUpdate {
  /** This learner's addend to the mean of each loss metric; all learners' add up to it. */
  readonly losses: MetricLists;
  /** Before clipping, one per optimizer step; the same at every learner. */
  readonly gradientNorms: number[];
}

/**
 * One training step's updates of the policy: for each epoch and each mini-batch, in order, gradients
 * of all micro-batches are accumulated, clipped and applied.
 *
 * Micro-batch losses are weighted by their share of the mini-batch's response tokens, all learners' together,
 * so `token` averaging is one mean over all tokens however they are divided; their metrics are weighted alike.
 *
 * @see spec of EasyR1's `update_policy`, the newer form
 */
export async function updatePolicy(
  policy: Policy,
  optimization: Optimization,
  miniBatches: readonly MiniBatch<Experience>[],
  options: UpdateOptions,
  onProgress?: (done: number) => void,
): Promise<PolicyUpdate> {
  const losses: MetricLists = {};
  const gradientNorms: number[] = [];
  let done = 0;
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    for (const { samples, responseTokens } of miniBatches) {
      optimization.clearGradients();
      for (const indices of microBatches(samples, options.microBatch)) {
        const microBatch = indices.map((i) => samples[i]!);
        // The learners' gradients are added up, not averaged, so each counts as one among none.
        const scale = microBatchScale(responseTokensOf(microBatch), responseTokens, 1);
        const metrics = accumulate(policy, optimization, microBatch, options, scale);
        for (const [name, value] of Object.entries<number>({ ...metrics })) {
          const list = (losses[`actor/${name}`] ??= []);
          while (list.length <= gradientNorms.length) list.push(0);
          list[gradientNorms.length]! += scale * value;
        }
        done += microBatch.length;
        onProgress?.(done);
      }
      gradientNorms.push((await optimization.step(options.learningRate)).gradientNorm);
    }
  }
  return { losses, gradientNorms };
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

import type { SequenceInput } from '../model/pack.ts';
import { microBatchScale } from '../algorithms/policy-loss.ts';
import { microBatches, type MicroBatchOptions } from './micro-batches.ts';
import { responseTokensOf, type MiniBatch } from './mini-batches.ts';
import type { Optimization } from './optimization.ts';

/** How the updates of one training step go through its samples. */
export interface PassOptions {
  readonly microBatch: MicroBatchOptions;
  /** Passes over the samples. */
  readonly epochs: number;
  readonly learningRate: number;
}

/** Lists of metric values, one per optimizer step. */
export type MetricLists = Record<string, number[]>;

/** What a learner reports of the updates of one step. */
export interface UpdateReport {
  /** This learner's addend to the mean of each loss metric; all learners' add up to it. */
  readonly losses: MetricLists;
  /** Before clipping, one per optimizer step; the same at every learner. */
  readonly gradientNorms: number[];
}

/**
 * One training step's updates of a model: for each epoch and each mini-batch, in order, gradients
 * of all micro-batches are accumulated, clipped and applied.
 *
 * Micro-batch losses are weighted by their share of the mini-batch's response tokens, all learners' together,
 * so `token` averaging is one mean over all tokens however they are divided; their metrics are weighted alike.
 *
 * @param accumulate adds a micro-batch's gradient times `scale` to the optimization's, and returns its metrics
 * @see spec of EasyR1's `update_policy` and `update_critic`, the newer form
 */
export async function updateByMiniBatches<S extends SequenceInput>(
  optimization: Optimization,
  miniBatches: readonly MiniBatch<S>[],
  { microBatch, epochs, learningRate }: PassOptions,
  accumulate: (samples: readonly S[], scale: number) => Promise<Readonly<Record<string, number>>>,
  onProgress?: (done: number) => void,
): Promise<UpdateReport> {
  const losses: MetricLists = {};
  const gradientNorms: number[] = [];
  let done = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const { samples, responseTokens } of miniBatches) {
      optimization.clearGradients();
      for (const indices of microBatches(samples, microBatch)) {
        const chosen = indices.map((i) => samples[i]!);
        // The learners' gradients are added up, not averaged, so each counts as one among none.
        const scale = microBatchScale(responseTokensOf(chosen), responseTokens, 1);
        for (const [name, value] of Object.entries(await accumulate(chosen, scale))) {
          const list = (losses[name] ??= []);
          while (list.length <= gradientNorms.length) list.push(0);
          list[gradientNorms.length]! += scale * value;
        }
        done += chosen.length;
        onProgress?.(done);
      }
      gradientNorms.push((await optimization.step(learningRate)).gradientNorm);
    }
  }
  return { losses, gradientNorms };
}

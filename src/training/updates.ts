/** The updates of one training step: epochs, mini-batches and micro-batches over its samples, by any loss. */
import type { LossTotals } from '../algorithms/loss-average.ts';
import type { EntropyLossGradient, LossGradient, Network } from '../model/network.ts';
import { packSequences, type SequenceInput } from '../model/pack.ts';
import type { Loss, LossResult } from './losses.ts';
import type { MaskedInput } from './experience.ts';
import { microBatches, type MicroBatchOptions } from './micro-batches.ts';
import { responseTokensOf, type MiniBatch } from './mini-batches.ts';
import type { Optimization } from './optimization.ts';

/** The loss of the updates of one training step, and the passes over its samples. */
export interface UpdateOptions<S extends SequenceInput> {
  readonly loss: Loss<S>;
  readonly microBatch: MicroBatchOptions;
  /** Passes over the samples. */
  readonly epochs: number;
  readonly learningRate: number;
  /** Divides a policy's logits, as it did when the responses were sampled; 1 when left out. */
  readonly temperature?: number;
  /** True where the loss reads the entropies of a policy's distributions. */
  readonly withEntropies?: boolean;
}

/** Lists of metric values, one per optimizer step. */
export type MetricLists = Record<string, number[]>;

/** A learner's report of the updates of one training step. */
export interface UpdateReport {
  /** Means of the loss metrics, each this learner's addend: all learners' add up to the mean. */
  readonly losses: MetricLists;
  /** Global L2 norms before clipping, one per optimizer step; the same at every learner. */
  readonly gradientNorms: number[];
}

/**
 * Updates a policy or a value model on the samples of one training step: for each epoch and each mini-batch, in order,
 * the gradients of all micro-batches are accumulated, clipped and applied.
 *
 * A micro-batch's loss and metrics are weighted by its share of the response tokens of the whole mini-batch, all
 * learners' together. So `token` averaging is one mean over all tokens, however they are divided, and other averages
 * count on that share (`loss-average.ts`).
 *
 * @see `update_policy` and `update_critic` of EasyR1, the newer form
 */
export async function updateByMiniBatches<S extends MaskedInput>(
  network: Pick<Network, 'accumulateGradients'>,
  optimization: Optimization,
  miniBatches: readonly MiniBatch<S>[],
  options: UpdateOptions<S>,
  onProgress?: (done: number) => void,
): Promise<UpdateReport> {
  const { microBatch, epochs, learningRate, temperature = 1 } = options;
  const losses: MetricLists = {};
  const gradientNorms: number[] = [];
  let done = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const { samples, responseTokens, sequences } of miniBatches) {
      const whole = { tokens: responseTokens, sequences };
      optimization.clearGradients();
      for (const indices of microBatches(samples, microBatch)) {
        const chosen = indices.map((i) => samples[i]!);
        // Learners' gradients are added up, so no factor stands for their number.
        const share = responseTokens === 0 ? 0 : responseTokensOf(chosen) / responseTokens;
        const onMetrics = (metrics: LossResult['metrics']): void => {
          addShare(losses, metrics, { step: gradientNorms.length, share });
        };
        const gradient = scaledGradient(options, { samples: chosen, whole, share }, onMetrics);
        const batch = packSequences(chosen);
        await network.accumulateGradients(batch, temperature, gradient, optimization.gradients);
        done += chosen.length;
        onProgress?.(done);
      }
      gradientNorms.push(await optimization.step(learningRate));
    }
  }
  return { losses, gradientNorms };
}

/** The derivatives of a micro-batch's loss, times its share of the mini-batch, as a network asks for them. */
function scaledGradient<S extends MaskedInput>(
  { loss, withEntropies = false }: UpdateOptions<S>,
  {
    samples,
    whole,
    share,
  }: { readonly samples: readonly S[]; readonly whole: LossTotals; readonly share: number },
  onMetrics: (metrics: LossResult['metrics']) => void,
): LossGradient | EntropyLossGradient {
  const scaled = (derivatives: Float32Array): Float32Array =>
    derivatives.map((value) => value * share);
  const evaluate = (scores: Float32Array, entropies?: Float32Array): LossResult => {
    const result = loss(samples, scores, whole, entropies);
    onMetrics(result.metrics);
    return result;
  };
  if (!withEntropies) return (scores) => scaled(evaluate(scores).gradient);
  return {
    withEntropies: (scores, entropies) => {
      const { gradient, entropyGradient } = evaluate(scores, entropies);
      return [scaled(gradient), scaled(entropyGradient ?? new Float32Array(scores.length))];
    },
  };
}

/** Adds a micro-batch's metrics to those of its optimizer step, by its share of the mini-batch. */
function addShare(
  losses: MetricLists,
  metrics: LossResult['metrics'],
  { step, share }: { readonly step: number; readonly share: number },
): void {
  for (const [name, value] of Object.entries(metrics)) {
    const list = (losses[name] ??= []);
    while (list.length <= step) list.push(0);
    list[step]! += share * value;
  }
}

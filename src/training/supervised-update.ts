/** Supervised fine-tuning: one optimizer step on reference answers, and their loss without one. */
import { sum } from '../algorithms/primitives.ts';
import { packSequences, type SequenceInput } from '../model/pack.ts';
import type { Policy } from '../model/policy.ts';
import { totalLength } from './experience.ts';
import { microBatches, type MicroBatchOptions } from './micro-batches.ts';
import type { MiniBatch } from './mini-batches.ts';
import type { Optimization } from './optimization.ts';
import { responseScores } from './response-scores.ts';

/** A learner's report of one step of supervised fine-tuning. */
export interface SupervisedStep {
  /** Mean negative log-likelihood per response token, nats: this learner's addend to it. */
  readonly loss: number;
  /** Global L2 norm before clipping; the same at every learner. */
  readonly gradientNorm: number;
  /** Number of tokens of this learner's samples. */
  readonly tokens: number;
}

/** The loss that a step would report of these samples, without training. */
export async function supervisedLoss(
  policy: Policy,
  { samples, responseTokens }: MiniBatch<SequenceInput>,
  microBatch: MicroBatchOptions,
): Promise<number> {
  const logProbs = await responseScores(policy, samples, microBatch);
  return -logProbs.reduce((total, values) => total + sum(values), 0) / responseTokens;
}

/** Takes one optimizer step on the mean negative log-likelihood of all response tokens. */
export async function updateSupervised(
  policy: Policy,
  optimization: Optimization,
  { samples, responseTokens }: MiniBatch<SequenceInput>,
  { microBatch, learningRate }: { microBatch: MicroBatchOptions; learningRate: number },
): Promise<SupervisedStep> {
  let loss = 0;
  optimization.clearGradients();
  for (const indices of microBatches(samples, microBatch)) {
    const batch = packSequences(indices.map((i) => samples[i]!));
    await policy.accumulateGradients(
      batch,
      1,
      (logProbs) => {
        loss -= sum(logProbs) / responseTokens;
        return logProbs.map(() => -1 / responseTokens);
      },
      optimization.gradients,
    );
  }
  const gradientNorm = await optimization.step(learningRate);
  return { loss, gradientNorm, tokens: totalLength(samples) };
}

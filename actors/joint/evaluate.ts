/**
 * Evaluation of response tokens: the request and the reply that learners, critics and the reference share, and their
 * handling.
 */
import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { responseNumbers, type Evaluation } from '../../src/training/response-scores.ts';
import { vector } from '../../src/tensor/tensor.ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { Progress, Sequence } from '../messages.ts';
import type { SharedWeights } from '../model-props.ts';

/** Sequences whose response tokens a model is to evaluate. */
export const EvaluateRequest = t.type({
  sequences: t.array(Sequence),
  /** Divides a policy's logits; 1 for a critic. */
  temperature: t.number,
  /** Version of the weights to evaluate with. */
  version: whole,
  /** Sequences done so far. */
  progress: Progress,
});
export interface EvaluateRequest extends t.TypeOf<typeof EvaluateRequest> {}

/**
 * Numbers of each sequence's response tokens: values of a critic; or log-probabilities of a policy, and the entropies of
 * their distributions where these are asked for, in nats.
 */
export const EvaluateReply = t.array(t.array(tensor('f32', ['T'])));
export type EvaluateReply = t.TypeOf<typeof EvaluateReply>;

/** Evaluates response tokens with the weights of one version. */
export function evaluate(
  weights: SharedWeights,
  { sequences, version, progress }: Omit<EvaluateRequest, 'temperature'>,
  microBatch: MicroBatchOptions,
  signal: AbortSignal,
  evaluation: Evaluation,
): Promise<EvaluateReply> {
  const report = (done: number): void => progress.data.set([done]);
  return weights.at(version, signal, async () => {
    const numbers = await responseNumbers(evaluation, sequences, microBatch, report);
    return numbers.map((lists) => lists.map((values) => vector('f32', values)));
  });
}

import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import type { Network } from '../../src/model/network.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import type { Policy } from '../../src/model/policy.ts';
import { responseEntropies, responseScores } from '../../src/training/response-scores.ts';
import { vector, type Tensor } from '../../src/tensor/tensor.ts';
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
  progress: t.union([Progress, t.null]),
});
export interface EvaluateRequest extends t.TypeOf<typeof EvaluateRequest> {}

/** A number for each response token, a tensor for each sequence: log-probabilities of a policy, values of a critic. */
export const EvaluateReply = t.type({ perToken: t.array(tensor('f32', ['T'])) });
export interface EvaluateReply extends t.TypeOf<typeof EvaluateReply> {}

/** A number for each response token, and where a policy is asked for them, the entropies of their distributions. */
export const PolicyEvaluateReply = t.type({
  perToken: t.array(tensor('f32', ['T'])),
  /** Nats; null where nobody asked. */
  entropies: t.union([t.array(tensor('f32', ['T'])), t.null]),
});
export interface PolicyEvaluateReply extends t.TypeOf<typeof PolicyEvaluateReply> {}

/** Evaluates response tokens with the weights of one version. */
export function evaluate(
  network: Pick<Network, 'scores'>,
  weights: SharedWeights,
  { sequences, temperature, version, progress }: EvaluateRequest,
  microBatch: MicroBatchOptions,
  signal: AbortSignal,
): Promise<EvaluateReply> {
  const report = (done: number): void => progress?.data.set([done]);
  return weights.at(version, signal, async () => {
    const found = await responseScores(network, sequences, temperature, microBatch, report);
    return { perToken: vectors(found) };
  });
}

/** Evaluates response tokens with a policy, and the entropies of the distributions that they are of. */
export function evaluateEntropies(
  policy: Pick<Policy, 'logProbsAndEntropies'>,
  weights: SharedWeights,
  { sequences, temperature, version, progress }: EvaluateRequest,
  microBatch: MicroBatchOptions,
  signal: AbortSignal,
): Promise<PolicyEvaluateReply> {
  const report = (done: number): void => progress?.data.set([done]);
  return weights.at(version, signal, async () => {
    const found = await responseEntropies(policy, sequences, temperature, microBatch, report);
    return { perToken: vectors(found.logProbs), entropies: vectors(found.entropies) };
  });
}

function vectors(columns: readonly Float32Array[]): Tensor<'f32'>[] {
  return columns.map((values) => vector('f32', values));
}

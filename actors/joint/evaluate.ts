import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import type { Network } from '../../src/model/network.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { responseScores } from '../../src/training/response-scores.ts';
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
    return { perToken: found.map((data) => ({ dtype: 'f32', shape: [data.length], data })) };
  });
}

import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import type { Policy } from '../../src/model/policy.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { responseScores } from '../../src/training/response-scores.ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { Progress, Sequence } from '../messages.ts';

/** Sequences whose response tokens are to be scored. */
export const LogProbsRequest = t.type({
  sequences: t.array(Sequence),
  temperature: t.number,
  /** Version of the weights to score with. */
  policyVersion: whole,
  /** Sequences done so far. */
  progress: t.union([Progress, t.null]),
});
export interface LogProbsRequest extends t.TypeOf<typeof LogProbsRequest> {}

/** Log-probabilities of the response tokens, one tensor per sequence, in order. */
export const LogProbsReply = t.type({ logProbs: t.array(tensor('f32', ['T'])) });
export interface LogProbsReply extends t.TypeOf<typeof LogProbsReply> {}

/** Answers a request for log-probabilities with any policy: a learner's or the reference. */
export async function logProbsReply(
  policy: Policy,
  { sequences, temperature, progress }: LogProbsRequest,
  microBatch: MicroBatchOptions,
): Promise<LogProbsReply> {
  const report = (done: number): void => progress?.data.set([done]);
  const results = await responseScores(policy, sequences, temperature, microBatch, report);
  return {
    logProbs: results.map((data) => ({ dtype: 'f32', shape: [data.length], data })),
  };
}

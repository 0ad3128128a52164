import * as t from 'io-ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { Progress, Sequence, whole } from '../messages.ts';
import { profileCalls } from '../profile.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Sequences whose response tokens are to be scored. */
export const LogProbsRequest = t.type({
  sequences: t.array(Sequence),
  temperature: t.number,
  /** The version of the weights to score with. */
  policyVersion: whole,
  /** Sequences done so far. */
  progress: t.union([Progress, t.null]),
});
export interface LogProbsRequest extends t.TypeOf<typeof LogProbsRequest> {}

/** Log-probabilities of the response tokens, one tensor per sequence, in order. */
export const LogProbsReply = t.type({ logProbs: t.array(tensor('f32', ['T'])) });
export interface LogProbsReply extends t.TypeOf<typeof LogProbsReply> {}

/** What the frozen reference model can be asked. */
export const referenceProtocol = protocol('reference', {
  ...profileCalls,
  logProbs: call(LogProbsRequest, LogProbsReply),
});

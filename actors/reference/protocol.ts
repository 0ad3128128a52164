import { LogProbsReply, LogProbsRequest } from '../joint/log-probs.ts';
import { profileCalls } from '../profile.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Calls of the reference, the frozen copy of the policy. */
export const referenceProtocol = protocol('reference', {
  ...profileCalls,
  logProbs: call(LogProbsRequest, LogProbsReply),
});

import { EvaluateReply, EvaluateRequest } from '../joint/evaluate.ts';
import { profileCalls } from '../model-actor.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Calls of the reference, the frozen copy of the policy. */
export const referenceProtocol = protocol('reference', {
  ...profileCalls,
  logProbs: call(EvaluateRequest, EvaluateReply),
});

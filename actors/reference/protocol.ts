import { EvaluateReply, EvaluateRequest } from '../joint/evaluate.ts';
import { profileCalls } from '../model-actor.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Calls of the reference, the copy of the policy as training began. */
export const referenceProtocol = protocol('reference', {
  ...profileCalls,
  logProbs: call(EvaluateRequest, EvaluateReply),
});

import * as t from 'io-ts';
import { EvaluateReply, EvaluateRequest } from '../joint/evaluate.ts';
import { profileCalls } from '../model-actor.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Calls of the reference, the copy of the policy as training began. */
export const referenceProtocol = protocol('reference', {
  ...profileCalls,
  /** Takes the weights to the device. From then on they may change here. */
  takeWeights: call(t.void, t.void),
  logProbs: call(EvaluateRequest, EvaluateReply),
});

/** Messages of a critic: values, and updates on experiences. */
import * as t from 'io-ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { EvaluateReply, EvaluateRequest } from '../joint/evaluate.ts';
import { jointCalls, TokenMask, UpdateReply, updateRequest } from '../joint/protocol.ts';
import { sequenceParts } from '../messages.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** A response as the critics train on it. */
export const ValueExperienceMessage = t.type({
  ...sequenceParts,
  mask: TokenMask,
  oldValues: tensor('f32', ['T']),
  returns: tensor('f32', ['T']),
});
export interface ValueExperienceMessage extends t.TypeOf<typeof ValueExperienceMessage> {}

/** A critic's experiences of one step. */
export const ValueUpdateRequest = updateRequest(ValueExperienceMessage);
export interface ValueUpdateRequest extends t.TypeOf<typeof ValueUpdateRequest> {}

/** Calls of a critic, made to all of them together. As with learners, an update is never retried. */
export const criticProtocol = protocol('critic', {
  ...jointCalls,
  values: call(EvaluateRequest, EvaluateReply),
  update: call(ValueUpdateRequest, UpdateReply),
});

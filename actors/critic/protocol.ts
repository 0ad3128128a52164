import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { jointCalls, UpdateReply, updateRequest } from '../joint/protocol.ts';
import { Progress, PromptInput, Sequence } from '../messages.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Sequences whose response tokens are to be valued. */
export const ValuesRequest = t.type({
  sequences: t.array(Sequence),
  /** Version of the critic's weights to value them with. */
  version: whole,
  /** Sequences done so far. */
  progress: t.union([Progress, t.null]),
});
export interface ValuesRequest extends t.TypeOf<typeof ValuesRequest> {}

/** Values of the response tokens, one tensor per sequence, in order. */
export const ValuesReply = t.type({ values: t.array(tensor('f32', ['T'])) });
export interface ValuesReply extends t.TypeOf<typeof ValuesReply> {}

/** A response as the critics train on it. */
export const ValueExperienceMessage = t.type({
  prompt: PromptInput,
  response: tensor('i32', ['T']),
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
  values: call(ValuesRequest, ValuesReply),
  update: call(ValueUpdateRequest, UpdateReply),
});

import * as t from 'io-ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Responses and the answers they are held against. */
export const ScoreRequest = t.type({
  responses: t.array(t.type({ tokenIds: tensor('i32', ['T']), groundTruth: t.string })),
});
export interface ScoreRequest extends t.TypeOf<typeof ScoreRequest> {}

/** Text and parts of the score of each response, in order. */
export const ScoreReply = t.type({
  scored: t.array(t.type({ text: t.string, parts: t.record(t.string, t.number) })),
});
export interface ScoreReply extends t.TypeOf<typeof ScoreReply> {}

/** What a reward actor can be asked. */
export const rewardProtocol = protocol('reward', { score: call(ScoreRequest, ScoreReply) });

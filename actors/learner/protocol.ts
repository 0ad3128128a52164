/** Messages of a learner: log-probabilities, updates on experiences, and supervised steps. */
import * as t from 'io-ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { EvaluateReply, EvaluateRequest } from '../joint/evaluate.ts';
import { jointCalls, miniBatch, TokenMask, UpdateReply, updateRequest } from '../joint/protocol.ts';
import { Sequence, sequenceParts } from '../messages.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** A response as the learners train on it. */
export const ExperienceMessage = t.type({
  ...sequenceParts,
  mask: TokenMask,
  oldLogProbs: tensor('f32', ['T']),
  advantages: tensor('f32', ['T']),
  refLogProbs: t.union([tensor('f32', ['T']), t.null]),
});
export interface ExperienceMessage extends t.TypeOf<typeof ExperienceMessage> {}

/** A learner's experiences of one step. */
export const UpdateRequest = t.intersection([
  updateRequest(ExperienceMessage),
  /** Weight of the entropy bonus in the loss. */
  t.type({ entropyCoeff: t.number }),
]);
export type UpdateRequest = t.TypeOf<typeof UpdateRequest>;

/** Sequences whose response tokens the policy is to evaluate. */
export const LogProbsRequest = t.intersection([
  EvaluateRequest,
  t.type({ withEntropies: t.boolean }),
]);
export type LogProbsRequest = t.TypeOf<typeof LogProbsRequest>;

/** Reference answers to take a step of supervised fine-tuning on. */
export const SupervisedUpdateRequest = t.type({
  miniBatch: miniBatch(Sequence),
  learningRate: t.number,
});
export interface SupervisedUpdateRequest extends t.TypeOf<typeof SupervisedUpdateRequest> {}

/** Reference answers whose loss is wanted. */
export const SupervisedLossRequest = t.type({ miniBatch: miniBatch(Sequence) });
export interface SupervisedLossRequest extends t.TypeOf<typeof SupervisedLossRequest> {}

/**
 * Calls of a learner, made to all of them together. An update is never retried: a lost one resumes from a checkpoint.
 */
export const learnerProtocol = protocol('learner', {
  ...jointCalls,
  logProbs: call(LogProbsRequest, EvaluateReply),
  update: call(UpdateRequest, UpdateReply),
  updateSupervised: call(
    SupervisedUpdateRequest,
    t.type({ loss: t.number, gradientNorm: t.number, tokens: t.number }),
  ),
  /** The loss that `updateSupervised` would report, from the weights as they are. */
  supervisedLoss: call(SupervisedLossRequest, t.type({ loss: t.number })),
});

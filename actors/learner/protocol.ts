import * as t from 'io-ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { MetricLists, Progress, PromptInput, Sequence, whole } from '../messages.ts';
import { LogProbsReply, LogProbsRequest } from '../reference/protocol.ts';
import { profileCalls } from '../profile.ts';
import { call, protocol } from '../runtime/protocol.ts';
import { LearnerCard } from './seat.ts';
import { Whereabouts } from './whereabouts.ts';

/** A response as the learners train on it. */
export const ExperienceMessage = t.type({
  /** The prompt whose group it is of; the learner says by it what it trained on. */
  promptId: t.string,
  prompt: PromptInput,
  response: tensor('i32', ['T']),
  oldLogProbs: tensor('f32', ['T']),
  advantages: tensor('f32', ['T']),
  refLogProbs: t.union([tensor('f32', ['T']), t.null]),
});

export interface ExperienceMessage extends t.TypeOf<typeof ExperienceMessage> {}

/** A learner's share of the samples of an optimizer step, and the response tokens of all shares together. */
export const miniBatch = <S extends t.Mixed>(sample: S) =>
  t.type({ samples: t.array(sample), responseTokens: whole });

/** A learner's experiences of one step and the learning rate it is trained at. */
export const UpdateRequest = t.type({
  miniBatches: t.array(miniBatch(ExperienceMessage)),
  learningRate: t.number,
  /** Samples done so far. */
  progress: t.union([Progress, t.null]),
});
export interface UpdateRequest extends t.TypeOf<typeof UpdateRequest> {}

/** Reference answers to imitate. */
export const ImitateRequest = t.type({ miniBatch: miniBatch(Sequence), learningRate: t.number });
export interface ImitateRequest extends t.TypeOf<typeof ImitateRequest> {}

/** Reference answers whose loss is wanted. */
export const ImitationLossRequest = t.type({ miniBatch: miniBatch(Sequence) });
export interface ImitationLossRequest extends t.TypeOf<typeof ImitationLossRequest> {}

const KeyPair = t.type({ publicKey: t.string, secretKey: t.string });

/** Where to listen, and the keys that all learners of the run prove themselves with. */
export const ListenRequest = t.type({
  address: t.string,
  keys: t.type({ server: KeyPair, client: KeyPair }),
});
export interface ListenRequest extends t.TypeOf<typeof ListenRequest> {}

/** Where to save to, or to restore from. */
export const StateRequest = t.type({ directory: t.string, modelOnly: t.boolean });
export interface StateRequest extends t.TypeOf<typeof StateRequest> {}

/** What a learner reports adds up with what the others do. */
export const UpdateReply = t.type({ losses: MetricLists, gradientNorms: t.array(t.number) });

/** The same, and the prompt of each response that the learner trained on. */
export const PolicyUpdateReply = t.intersection([
  UpdateReply,
  t.type({ trained: t.array(t.string) }),
]);
export type PolicyUpdateReply = t.TypeOf<typeof PolicyUpdateReply>;

/** What those who train a model together are asked, whichever model it is. */
export const jointCalls = {
  ...profileCalls,
  whereabouts: call(t.void, Whereabouts),
  /** Listen to the other learners at an address of this host; says how it is reached. */
  listen: call(ListenRequest, LearnerCard),
  /** Meet the learners of other processes, given the cards of all; for those whose seat does not say how. */
  join: call(t.array(LearnerCard), t.void),
  /** The first learner writes. */
  save: call(StateRequest, t.void),
  /** The first learner reads. */
  restore: call(StateRequest, t.void),
};

/**
 * What a learner can be asked, all of them together. An update is never asked again: a lost one resumes from
 * a checkpoint.
 */
export const learnerProtocol = protocol('learner', {
  ...jointCalls,
  logProbs: call(LogProbsRequest, LogProbsReply),
  update: call(UpdateRequest, PolicyUpdateReply),
  imitate: call(
    ImitateRequest,
    t.type({ loss: t.number, gradientNorm: t.number, tokens: t.number }),
  ),
  /** The loss that `imitate` would report, from the weights as they are. */
  imitationLoss: call(ImitationLossRequest, t.type({ loss: t.number })),
});

import * as t from 'io-ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { MetricLists, Progress, PromptInput, Sequence } from '../messages.ts';
import { LogProbsReply, LogProbsRequest } from '../reference/protocol.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Experiences of one step and the learning rate it is trained at. */
export const UpdateRequest = t.type({
  experiences: t.array(
    t.type({
      prompt: PromptInput,
      response: tensor('i32', ['T']),
      oldLogProbs: tensor('f32', ['T']),
      advantages: tensor('f32', ['T']),
      refLogProbs: t.union([tensor('f32', ['T']), t.null]),
    }),
  ),
  learningRate: t.number,
  /** Samples done so far. */
  progress: t.union([Progress, t.null]),
});
export interface UpdateRequest extends t.TypeOf<typeof UpdateRequest> {}

/** Reference answers to imitate. */
export const ImitateRequest = t.type({ samples: t.array(Sequence), learningRate: t.number });
export interface ImitateRequest extends t.TypeOf<typeof ImitateRequest> {}

/** Where to save to, or to restore from. */
export const StateRequest = t.type({ directory: t.string, modelOnly: t.boolean });
export interface StateRequest extends t.TypeOf<typeof StateRequest> {}

/** What the learner can be asked. An update is never asked again: a lost one resumes from a checkpoint. */
export const learnerProtocol = protocol('learner', {
  logProbs: call(LogProbsRequest, LogProbsReply),
  update: call(UpdateRequest, t.type({ metrics: MetricLists })),
  imitate: call(
    ImitateRequest,
    t.type({ loss: t.number, gradientNorm: t.number, tokens: t.number }),
  ),
  save: call(StateRequest, t.void),
  restore: call(StateRequest, t.void),
});

import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import { EpisodeStart } from '../../src/environment/environment.ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { FinishReason, Progress, PromptInput, ResponseMedia } from '../messages.ts';
import { profileCalls } from '../model-actor.ts';
import { call, protocol } from '../runtime/protocol.ts';

const { seed: _, ...taskParts } = EpisodeStart.props;
/** A prompt as the environment of an episode is told of it; its seed is that of the response. */
export const EpisodeTask = t.type(taskParts);

/** Parameters by which next tokens are drawn. */
export const SamplingMessage = t.type({ temperature: t.number, topP: t.number, topK: t.number });

/** Prompts, each with the random streams of the responses wanted to it. */
export const GenerateRequest = t.type({
  prompts: t.array(
    t.type({
      promptId: t.string,
      input: PromptInput,
      keys: t.array(t.tuple([t.number, t.number])),
      task: EpisodeTask,
    }),
  ),
  sampling: SamplingMessage,
  maxTokens: whole,
  ignoreEos: t.boolean,
  /** Version of the weights to sample with. */
  policyVersion: whole,
  /** Tokens and responses made so far. */
  progress: t.union([Progress, t.null]),
});
export interface GenerateRequest extends t.TypeOf<typeof GenerateRequest> {}

/** The turns of a response that an environment answered; null where there is no environment. */
export const Episode = t.type({
  /** The tokens that the policy sampled, 1, and those that the environment showed it, 0. */
  mask: tensor('u8', ['T']),
  media: t.union([ResponseMedia, t.null]),
  /** Turns of the policy. */
  turns: whole,
  /** Reason why the environment broke off, in which case the response is not to be trained on. */
  problem: t.union([t.string, t.null]),
});
export interface Episode extends t.TypeOf<typeof Episode> {}

/** All responses to one prompt. */
export const Group = t.type({
  promptId: t.string,
  responses: t.array(
    t.type({
      tokenIds: tensor('i32', ['T']),
      logProbs: tensor('f32', ['T']),
      finishReason: FinishReason,
      episode: t.union([Episode, t.null]),
    }),
  ),
});
export interface Group extends t.TypeOf<typeof Group> {}

/** Calls of a rollout actor. */
export const rolloutProtocol = protocol('rollout', {
  ...profileCalls,
  generate: call(GenerateRequest, t.type({ groups: t.array(Group) })),
});

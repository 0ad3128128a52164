/**
 * The protocol of rollout actors: prompts in, groups of responses out. A request may be paused, and go on with newer
 * weights.
 */
import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import { EpisodeStart } from '../../src/environment/environment.ts';
import { FinishReason } from '../../src/finish-reason.ts';
import { BitDepth } from '../../src/vision/sample-depth.ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { Progress, PromptInput, ResponseMedia } from '../messages.ts';
import { profileCalls } from '../model-actor.ts';
import { call, protocol } from '../runtime/protocol.ts';

const { seed: _, ...taskParts } = EpisodeStart.props;
/** A prompt as an environment gets it at the start of an episode. The seed is left out: each response has its own. */
export const EpisodeTask = t.type(taskParts);

/** Settings of sampling. */
export const SamplingMessage = t.type({ temperature: t.number, topP: t.number, topK: t.number });

/** Controls of what responses may say. */
export const ControlsMessage = t.type({
  minP: t.number,
  repetitionPenalty: t.number,
  presencePenalty: t.number,
  frequencyPenalty: t.number,
  badWords: t.readonlyArray(t.string),
  structuredOutputs: t.type({
    regex: t.union([t.string, t.null]),
    json: t.union([t.UnknownRecord, t.null]),
  }),
});

/** Prompts, and the seeds of the responses that are wanted to each. */
export const GenerateRequest = t.type({
  prompts: t.array(
    t.type({
      promptId: t.string,
      input: PromptInput,
      /** Used bits of 16-bit samples, in pictures of an environment. */
      bitDepth: BitDepth,
      seeds: t.array(t.tuple([t.number, t.number])),
      task: EpisodeTask,
    }),
  ),
  sampling: SamplingMessage,
  /** Null without any. */
  controls: t.union([ControlsMessage, t.null]),
  maxTokens: whole,
  ignoreEos: t.boolean,
  /** Version of the weights to sample with. */
  policyVersion: whole,
  /** Tokens and responses made so far. */
  progress: Progress,
});
export interface GenerateRequest extends t.TypeOf<typeof GenerateRequest> {}

/** The turns of a response to which an environment answered. */
export const Episode = t.type({
  /** The tokens that the policy sampled, 1, and those that the environment showed it, 0. */
  mask: tensor('u8', ['T']),
  media: t.union([ResponseMedia, t.null]),
  /** Turns of the policy. */
  turns: whole,
  /** Texts for people to read: turns of the policy, and between them what the environment showed. */
  texts: t.readonlyArray(t.string),
  /** Reason why the environment broke off, in which case the response is not to be trained on. */
  problem: t.union([t.string, t.null]),
});
export interface Episode extends t.TypeOf<typeof Episode> {}

/** All responses to one prompt. */
export const Group = t.type({
  promptId: t.string,
  responses: t.array(
    t.intersection([
      t.type({
        tokenIds: tensor('i32', ['T']),
        logProbs: tensor('f32', ['T']),
        finishReason: FinishReason,
        /** Null without an environment. */
        episode: t.union([Episode, t.null]),
      }),
      /** Version of the weights by each token; left out where one version sampled all of them. */
      t.partial({ policyVersions: tensor('i32', ['T']) }),
    ]),
  ),
});
export interface Group extends t.TypeOf<typeof Group> {}

/** A request that may be paused while the weights change. */
export const BeginRequest = t.intersection([
  GenerateRequest,
  t.type({
    /** Identifies the request in later calls. */
    id: t.string,
    /** Tells whether keys and values of older weights are kept or computed again. */
    cache: t.keyof({ keep: null, recompute: null }),
  }),
]);
export type BeginRequest = t.TypeOf<typeof BeginRequest>;

/** A request that has begun, and the version of the weights that it goes on with. */
export const GoOnRequest = t.type({ id: t.string, policyVersion: whole });
export interface GoOnRequest extends t.TypeOf<typeof GoOnRequest> {}

const Groups = t.type({ groups: t.array(Group) });

/** Calls of a rollout actor. */
export const rolloutProtocol = protocol('rollout', {
  ...profileCalls,
  generate: call(GenerateRequest, Groups),
  /** Generates as `generate` does. A call that is cancelled is paused. */
  begin: call(BeginRequest, Groups),
  /** Tells whether a request has begun, and has not been forgotten. Once a cancelled call has ended, it is paused. */
  hasBegun: call(t.string, t.boolean),
  /** Goes on with a paused request. One that is finished, whose reply was lost, gives it again. */
  goOn: call(GoOnRequest, Groups),
  /** Forgets a request that has begun, and frees what it holds. */
  forget: call(t.string, t.void),
});

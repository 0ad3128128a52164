/** Messages of every actor that scores responses: reward functions, reward models and judges. */
import * as t from 'io-ts';
import { bytes, whole } from '../../src/check/scalars.ts';
import { Answer } from '../../src/data/row.ts';
import { FinishReason } from '../../src/finish-reason.ts';
import { BitDepth } from '../../src/vision/sample-depth.ts';
import { PromptContext } from '../messages.ts';
import { tensor } from '../../transport/tensor-codec.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** A prompt, and for a reward that looks at its pictures their paths or bytes, and the used bits of 16-bit samples. */
const JudgedPrompt = t.intersection([
  PromptContext,
  t.partial({ images: t.readonlyArray(t.union([t.string, bytes])), bitDepth: BitDepth }),
]);

/** Responses, the prompts they answer, and the answers they are held against. */
export const ScoreRequest = t.type({
  prompts: t.array(JudgedPrompt),
  responses: t.array(
    t.type({
      /** Name in errors: the row, and the number of the response to it. */
      name: t.string,
      /** Index of the prompt that it answers. */
      prompt: whole,
      tokenIds: tensor('i32', ['T']),
      finishReason: FinishReason,
      groundTruth: Answer,
    }),
  ),
});
export interface ScoreRequest extends t.TypeOf<typeof ScoreRequest> {}

/** Text and parts of the score of each response, in order, or why there is none. */
export const ScoreReply = t.type({
  scored: t.array(
    t.type({
      text: t.string,
      /** Null for a response that could not be scored. */
      parts: t.union([t.record(t.string, t.number), t.null]),
      problem: t.union([t.string, t.null]),
    }),
  ),
  /** Costs of scoring, by metric; a step adds them up. */
  counts: t.record(t.string, t.number),
});
export interface ScoreReply extends t.TypeOf<typeof ScoreReply> {}

/** Calls of a reward actor. */
export const rewardProtocol = protocol('reward', { score: call(ScoreRequest, ScoreReply) });

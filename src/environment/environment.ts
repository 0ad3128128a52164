/**
 * Environments: what answers a policy between its turns, as their authors write them.
 *
 * The interface is that of Gymnasium (arXiv:2407.17032) over the messages of a chat: `reset` begins an episode, `step`
 * takes the policy's newest messages, and returns those that it sees next, or the end. The prompt is the first
 * observation, so `reset` shows nothing.
 */
import * as t from 'io-ts';
import { bytes } from '../check/scalars.ts';
import { Answer } from '../data/row.ts';
import type { Tool } from '../text/chat-template.ts';
import type { ToolCall } from './tool-calls.ts';

/** A picture: the path of a file, or the file's bytes. */
const Picture = t.union([t.string, bytes]);

/** An episode as it begins. */
export const EpisodeStart = t.type({
  /** The row's prompt, with one `<image>` marker for each picture. */
  prompt: t.string,
  /** The prompt's pictures. */
  images: t.readonlyArray(Picture),
  groundTruth: Answer,
  /** The row's other columns. */
  columns: t.record(t.string, t.unknown),
  /** Seed of the episode's random choices, a whole number below 2³². The same seed has to give the same episode. */
  seed: t.number,
});
export interface EpisodeStart extends t.TypeOf<typeof EpisodeStart> {}

/** Part of a message that is shown to the policy. */
const ShownPart = t.union([
  t.type({ type: t.literal('text'), text: t.string }),
  t.type({ type: t.literal('image'), image: Picture }),
]);

/** A message that is shown to the policy: the result of a call of its own, or words of a user. */
export const ShownMessage = t.type({
  role: t.keyof({ tool: null, user: null }),
  content: t.union([t.string, t.readonlyArray(ShownPart)]),
});
export type ShownMessage = t.TypeOf<typeof ShownMessage>;

/** A turn of the policy: its text, and the calls in it that are well formed. */
export interface PolicyMessage {
  readonly role: 'assistant';
  readonly content: string;
  readonly toolCalls: readonly ToolCall[];
}

/** A message of an episode, after the prompt. */
export type EpisodeMessage = PolicyMessage | ShownMessage;

/** An environment's answer. The messages of an episode that is done are shown to nobody. */
export const EnvironmentReply = t.type({
  messages: t.readonlyArray(ShownMessage),
  done: t.boolean,
});
export interface EnvironmentReply extends t.TypeOf<typeof EnvironmentReply> {}

/**
 * The environment of one episode.
 *
 * Its answers may depend on the episode and on the messages alone, and not on what other episodes do or on time: an
 * episode is played again, up to its newest turn, where the thread or process that had it was lost.
 */
export interface Environment {
  /**
   * Functions that the policy may call; the chat template shows them with the prompt. They are those of every episode.
   */
  readonly tools?: readonly Tool[];
  reset(episode: EpisodeStart): void | Promise<void>;
  /** @param messages messages since the last step: answers of other tools, if any, then the policy's turn */
  step(messages: readonly EpisodeMessage[]): EnvironmentReply | Promise<EnvironmentReply>;
}

/** A user's function, called once for each episode. @param kwargs `worker.rollout.multi_turn.environment_kwargs` */
export type EnvironmentFunction = (kwargs: Readonly<Record<string, unknown>>) => Environment;

/** Request to the thread or process that runs a user's environment. */
export interface TurnRequest {
  readonly id: string;
  /** Beginning of the episode if it is played from there; null if it goes on from the turns before. */
  readonly start: EpisodeStart | null;
  /** Messages of every step to take. The reply is that of the last step. */
  readonly steps: readonly (readonly EpisodeMessage[])[];
  readonly over: readonly string[];
}

/** Reply to a turn; `unknown` if the thread was restarted and does not have the episode. */
export type TurnReply = { readonly unknown: true } | { readonly reply: unknown };

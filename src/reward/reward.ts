/** Interface of rewards: what they read of a response, the parts of a score, and the functions between the two. */
import type { Answer } from '../data/row.ts';
import type { FinishReason } from '../finish-reason.ts';
import type { ChatMessage } from '../text/chat-template.ts';
import type { GateSpec } from './gate.ts';

/**
 * Response and the answer it is held against. Built-in rewards read nothing else.
 *
 * @typeParam T type of the data set's answers
 */
export interface AnsweredText<T extends Answer = string> {
  /** Decoded text of the response, with its end-of-turn token unless special tokens are skipped. */
  readonly response: string;
  /** Number of response tokens. */
  readonly responseLength: number;
  /** Answer of the row as the data set has it. For chains it is a whole reference transcript. */
  readonly groundTruth: T;
}

/**
 * Response as a user's reward function sees it. Pictures and videos of the prompt are not passed.
 *
 * @typeParam T type of the data set's answers
 */
export interface RewardInput<T extends Answer = string> extends AnsweredText<T> {
  /** Formatted prompt, with one `<image>` or `<video>` marker for each image or video. */
  readonly prompt: string;
  /** Conversation that the response continues, as the chat template gets it; the prompt is its last turn. */
  readonly messages: readonly ChatMessage[];
  /** All columns of the row, by name. Contents of files, such as bytes of pictures, are null. */
  readonly columns: Readonly<Record<string, unknown>>;
  /** Token ids of the response, its end-of-turn token included. */
  readonly responseIds: readonly number[];
  /** `stop` if the response ended by itself, `length` if it was cut off at its longest, `content_filter` by bad words. */
  readonly finishReason: FinishReason;
}

/** Score by part. `overall` is the reward itself. Every part becomes the metric `reward/<part>`. */
export type RewardParts = Record<string, number> & { overall: number };

/**
 * Named scoring rule.
 *
 * @typeParam I what it reads of a response
 */
export interface Reward<I extends AnsweredText<Answer> = RewardInput<Answer>> {
  readonly name: string;
  /** Scores a batch, one map for each response, in order. */
  score(batch: readonly I[]): RewardParts[] | Promise<RewardParts[]>;
}

/** Built-in reward before it gets its options. */
export interface BuiltIn {
  /**
   * Batch gate. A gated reward leaves its bonuses out of `overall`. The trainer adds them by `gateStep`, once it has
   * the whole rollout batch.
   */
  readonly gate?: Pick<GateSpec, 'rule' | 'key' | 'bonus'>;
  /** Makes the function that scores one response. @throws CONFIG_INVALID naming every wrong option */
  configure(kwargs: Readonly<Record<string, unknown>>): (input: AnsweredText) => RewardParts;
}

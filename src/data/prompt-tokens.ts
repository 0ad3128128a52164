import { CxmindError } from '../errors.ts';
import type { ChatMessage, ChatTemplate, Tool } from '../text/chat-template.ts';
import { writeFrameTimes } from '../text/frame-times.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { answerText, rowError, type DatasetRow, type RowKeys } from './row.ts';
import { expandedIds, type MediaPlaces } from './media-prompt.ts';
import type { Media, SampleVision } from './sample-media.ts';

/** Options of tokenisation and truncation. */
export interface PromptTokenOptions {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
  /** Functions that the policy may call; none if absent. */
  readonly tools?: readonly Tool[];
  /** Null for a model without vision. */
  readonly vision: SampleVision | null;
  readonly keys: RowKeys;
  /** Longest prompt, in tokens. */
  readonly maxPromptLength: number;
  /** Longest answer, in tokens. */
  readonly maxResponseLength: number;
}

/** Token ids of prompts and answers. Every error is DATA_INVALID and names file, line and field. */
export class PromptTokens {
  readonly #options: PromptTokenOptions;

  constructor(options: PromptTokenOptions) {
    this.#options = options;
  }

  /**
   * Token ids of a conversation, one placeholder for each merged patch of its images or videos.
   *
   * @throws DATA_INVALID if the template refuses the row's history, or the text spells a placeholder out
   */
  encode(
    row: DatasetRow,
    messages: readonly ChatMessage[],
    kind: Media['kind'],
    { tokenCounts, frameTimes }: MediaPlaces,
  ): Int32Array {
    const { tokenizer, vision, keys } = this.#options;
    const text = this.#render(row, messages);
    const ids = tokenizer.encode(frameTimes === null ? text : writeFrameTimes(text, frameTimes));
    return expandedIds(ids, vision, { kind, tokenCounts }, (one, found, wanted) => {
      const reason = `the chat text has ${found} ${one} placeholder(s) in place of ${wanted}`;
      return rowError(row, keys.promptKey, reason);
    });
  }

  /**
   * Cuts a prompt at its end to `maxPromptLength`.
   *
   * @throws DATA_INVALID if the cut would remove a placeholder
   */
  cut(row: DatasetRow, ids: Int32Array): Int32Array {
    const { maxPromptLength, keys } = this.#options;
    if (ids.length <= maxPromptLength) return ids;
    if (this.#placeholders().some((id) => ids.lastIndexOf(id) >= maxPromptLength)) {
      throw rowError(
        row,
        keys.promptKey,
        `${ids.length} tokens with its images or videos, max_prompt_length is ${maxPromptLength}; raise it, ` +
          'lower max_pixels, or set filter_overlong_prompts',
      );
    }
    return ids.slice(0, maxPromptLength);
  }

  /**
   * Token ids of a row's answer, the end of turn last.
   *
   * @throws DATA_INVALID if there are more than `maxResponseLength`, or one of them is a placeholder
   */
  encodeAnswer(row: DatasetRow): Int32Array {
    const { tokenizer, maxResponseLength, keys } = this.#options;
    const ids = [...tokenizer.encode(answerText(row.answer)), tokenizer.endOfTurnId];
    if (ids.length > maxResponseLength) {
      throw rowError(
        row,
        keys.answerKey,
        `${ids.length} tokens with the end of turn, max_response_length is ${maxResponseLength}`,
      );
    }
    const placeholders = this.#placeholders();
    const found = ids.find((id) => placeholders.includes(id));
    if (found !== undefined) {
      const reason = `an answer is text, but ${tokenizer.decode([found])} stands for an image or video`;
      throw rowError(row, keys.answerKey, reason);
    }
    return Int32Array.from(ids);
  }

  #placeholders(): number[] {
    const { vision } = this.#options;
    return vision === null ? [] : [vision.imageTokenId, vision.videoTokenId];
  }

  /** Chat text. A template may refuse the order of turns, in which case the row is invalid. */
  #render(row: DatasetRow, messages: readonly ChatMessage[]): string {
    try {
      const { chatTemplate, tools = [] } = this.#options;
      return chatTemplate.render(messages, { tools });
    } catch (error) {
      if (row.history.length === 0 || !(error instanceof CxmindError)) throw error;
      throw rowError(row, 'messages', error.message, error);
    }
  }
}

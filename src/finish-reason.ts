import * as t from 'io-ts';

/**
 * Reason why a response ended, by OpenAI's name. `stop` is its own end, `length` the limit of its length, and
 * `content_filter` a place where bad words forbid all tokens that its grammar allows.
 */
export const FinishReason = t.keyof({ stop: null, length: null, content_filter: null });
export type FinishReason = t.TypeOf<typeof FinishReason>;

import * as t from 'io-ts';

/**
 * Reason why a response ended, by OpenAI's name: `stop` by itself, `length` at its longest, `content_filter` where bad
 * words forbade all that its grammar allowed.
 */
export const FinishReason = t.keyof({ stop: null, length: null, content_filter: null });
export type FinishReason = t.TypeOf<typeof FinishReason>;

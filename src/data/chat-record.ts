import * as t from 'io-ts';
import { isLeft } from 'fp-ts/lib/Either.js';
import type { RowKeys } from './row.ts';

const MARKER = /<image>/g;

const Messages = t.array(t.type({ role: t.string, content: t.string }));

/**
 * A record of a conversation, `{messages: [{role, content}], images}`, as a row has it: the user's text without image
 * markers behind one marker for each image, and the assistant's text as the answer, of several the last. Any other
 * record as it is.
 */
export function fromChatRecord(
  record: Readonly<Record<string, unknown>>,
  keys: RowKeys,
): Readonly<Record<string, unknown>> {
  if (keys.promptKey in record) return record;
  const messages = Messages.decode(record['messages']);
  if (isLeft(messages)) return record;
  const last = (role: string): string | undefined =>
    messages.right.findLast((message) => message.role === role)?.content.trim();
  const [prompt, answer] = [last('user'), last('assistant')];
  const { [keys.imageKey]: images, ...others } = record;
  const count = Array.isArray(images) ? images.length : 0;
  return {
    ...others,
    ...(Array.isArray(images) && { [keys.imageKey]: images }),
    ...(prompt !== undefined && {
      [keys.promptKey]: '<image>'.repeat(count) + prompt.replace(MARKER, '').trim(),
    }),
    ...(answer !== undefined && { [keys.answerKey]: answer }),
  };
}

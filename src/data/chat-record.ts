/** Records of conversations, as training sets of chat models have them, with one turn as prompt and one as answer. */
import * as t from 'io-ts';
import { shown } from '../check/issues.ts';
import type { CxmindError } from '../errors.ts';
import { trimSpace } from '../text/whitespace.ts';
import { roles, type RowKeys, type Turn } from './row.ts';

const IMAGE = /<image>/g;
const Role = t.keyof(roles);

/** Record whose prompt and answer have columns of their own. */
export interface FlatRecord {
  readonly columns: Readonly<Record<string, unknown>>;
  readonly history: readonly Turn[];
}

/** Makes the error of one field, such as `messages[1].role`. */
type FieldError = (field: string, reason: string) => CxmindError;

/**
 * Flattens the record of a conversation, `{messages: [{role, content}], images}`. The turns may also stand in the
 * prompt's column.
 *
 * A last turn of the assistant is the answer. The user's turn before it is the prompt. The turns before that are the
 * history. If the prompt is plain text, its markers are removed, and one marker is put in front for each image that
 * the history does not mark. Any other record is returned as it is.
 *
 * @throws `wrong` for roles, contents and orders of turns that no chat template takes
 */
export function fromChatRecord(
  record: Readonly<Record<string, unknown>>,
  keys: RowKeys,
  wrong: FieldError,
): FlatRecord {
  const key = keys.promptKey in record ? keys.promptKey : 'messages';
  const messages = record[key];
  if (!Array.isArray(messages)) return { columns: record, history: [] };
  const turns = messages.map((message, i) => turnOf(message, `${key}[${i}]`, wrong));
  const answer = turns.at(-1)?.role === 'assistant' ? turns.pop() : undefined;
  const prompt = turns.pop();
  if (prompt?.role !== 'user') {
    const got = prompt === undefined ? 'nothing' : `one of ${prompt.role}`;
    const behind = answer === undefined ? 'at the end' : 'before the answer';
    throw wrong(key, `expected a turn of user ${behind}, got ${got}`);
  }
  const { [keys.imageKey]: images, ...others } = record;
  const count = Array.isArray(images) ? images.length - imagesIn(turns) : 0;
  const isText = typeof (messages[turns.length] as { content: unknown }).content === 'string';
  const text = isText
    ? '<image>'.repeat(Math.max(0, count)) + trimSpace(prompt.content.replace(IMAGE, ''))
    : prompt.content;
  return {
    columns: {
      ...others,
      ...(Array.isArray(images) && { [keys.imageKey]: images }),
      ...(answer !== undefined && { [keys.answerKey]: trimSpace(answer.content) }),
      [keys.promptKey]: text,
    },
    history: turns,
  };
}

function imagesIn(turns: readonly Turn[]): number {
  const asked = turns.filter(({ role }) => role === 'user');
  return asked.reduce((sum, { content }) => sum + (content.match(IMAGE)?.length ?? 0), 0);
}

function turnOf(message: unknown, field: string, wrong: FieldError): Turn {
  if (!t.UnknownRecord.is(message)) {
    throw wrong(field, `expected {role, content}, got ${shown(message)}`);
  }
  const { role, content, tool_calls: calls } = message;
  if (!Role.is(role)) {
    const expected = Object.keys(roles).join(', ');
    throw wrong(`${field}.role`, `expected one of ${expected}, got ${shown(role)}`);
  }
  if (calls != null) throw wrong(`${field}.tool_calls`, 'calls of tools are not supported');
  if (typeof content === 'string') return { role, content };
  if (!Array.isArray(content)) {
    throw wrong(`${field}.content`, `expected text or a list of parts, got ${shown(content)}`);
  }
  const parts = content.map((part, i) => partText(part, `${field}.content[${i}]`, wrong));
  return { role, content: parts.join('') };
}

/** Text of a part, or the marker of its image or video. */
function partText(part: unknown, field: string, wrong: FieldError): string {
  const { type, text, ...others } = t.UnknownRecord.is(part) ? part : {};
  const extra = Object.keys(others).find((key) => others[key] != null);
  if (extra !== undefined) {
    const reason = 'not read here; images and videos stand in columns of the row';
    throw wrong(`${field}.${extra}`, reason);
  }
  if (type === 'text' && typeof text === 'string') return text;
  if (type === 'image' || type === 'video') return `<${type}>`;
  throw wrong(field, `expected a part of type text, image or video, got ${shown(part)}`);
}

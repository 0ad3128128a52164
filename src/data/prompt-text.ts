import type { ChatMessage, ContentPart } from '../text/chat-template.ts';
import type { PromptFormat } from '../text/prompt-format.ts';
import { rowError, type DatasetRow, type RowKeys } from './row.ts';
import type { Media } from './sample-media.ts';

/** Options that shape the text of a prompt. */
export interface PromptTextOptions {
  /** Null leaves prompts as they are. */
  readonly promptFormat: PromptFormat | null;
  readonly keys: RowKeys;
  /** Most images of a prompt; 0 sets no limit. */
  readonly limitImages: number;
}

/** Formatted prompt of a row, and the conversation that it ends. */
export interface PromptText {
  /** Prompt with one `<image>` or `<video>` marker for each image or video. */
  readonly text: string;
  readonly messages: readonly ChatMessage[];
}

/**
 * Formats a row's prompt and puts it behind the row's history.
 *
 * @throws DATA_INVALID naming file, line and field if markers and images or videos differ in number, or a prompt has
 *   more images than the limit
 */
export function promptText(
  row: DatasetRow,
  media: Media | null,
  { promptFormat, keys, limitImages }: PromptTextOptions,
): PromptText {
  const text = promptFormat?.render(row.prompt) ?? row.prompt;
  const { kind, entries, key } = media ?? { kind: 'image', entries: [], key: keys.imageKey };
  const turns = [...row.history, { role: 'user', content: text } as const];
  const asked = turns.filter(({ role }) => role === 'user');
  const markers = asked.reduce((n, { content }) => n + content.split(`<${kind}>`).length - 1, 0);
  if (markers !== entries.length) {
    const found = `${keys.promptKey} has ${markers} <${kind}> marker(s)`;
    throw rowError(row, key, `${found}, but there are ${entries.length} ${kind}(s)`);
  }
  if (kind === 'image' && limitImages > 0 && entries.length > limitImages) {
    const reason = `${entries.length} images, worker.rollout.limit_images is ${limitImages}`;
    throw rowError(row, key, reason);
  }
  const messages = turns.map(({ role, content }): ChatMessage => ({
    role,
    content: role !== 'user' || media === null ? content : partsOf(content, media.kind),
  }));
  return { text, messages };
}

/** Pieces of a text with an image or video between each two. Empty pieces are left out. */
function partsOf(text: string, kind: Media['kind']): ContentPart[] {
  return text
    .split(`<${kind}>`)
    .flatMap((text, index): ContentPart[] => [
      ...(index === 0 ? [] : [{ type: kind }]),
      ...(text === '' ? [] : [{ type: 'text', text } as const]),
    ]);
}

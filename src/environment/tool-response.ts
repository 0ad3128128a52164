import type { MultiTurn } from '../config/multi-turn-schema.ts';
import type { ShownMessage } from './environment.ts';

/** The side that is kept of a text that is too long. */
type TruncateSide = MultiTurn['toolResponseTruncateSide'];

/**
 * Ways to shorten a text to so many characters, by their config name (`multi_turn.tool_response_truncate_side`): the
 * side that is kept, or both. The marks are verl's.
 */
const truncations: Readonly<Record<TruncateSide, (text: string, length: number) => string>> = {
  left: (text, length) => `${text.slice(0, length)}...(truncated)`,
  middle: (text, length) => {
    const half = Math.floor(length / 2);
    return `${text.slice(0, half)}...(truncated)...${text.slice(text.length - half)}`;
  },
  right: (text, length) => `(truncated)...${text.slice(text.length - length)}`,
};

/** A tool's message with no more than `length` characters in each of its texts; other messages are left as they are. */
export function truncated(message: ShownMessage, length: number, side: TruncateSide): ShownMessage {
  if (message.role !== 'tool') return message;
  const short = (text: string): string =>
    text.length > length ? truncations[side](text, length) : text;
  const { content } = message;
  if (typeof content === 'string') return { ...message, content: short(content) };
  return {
    ...message,
    content: content.map((part) =>
      part.type === 'text' ? { ...part, text: short(part.text) } : part,
    ),
  };
}

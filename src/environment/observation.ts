/**
 * Messages of an environment as the tokens that the policy goes on from.
 *
 * The chat template renders a conversation whose one turn of the assistant is a mark, and the messages behind it. All
 * that follows the mark is the text from the end of a turn to the beginning of the next. So the policy's own tokens are
 * never rendered or tokenised again: the sequence is what it sampled, whatever a template would make of its text.
 */
import { resolve } from 'node:path';
import { expandedIds, placesOf } from '../data/media-prompt.ts';
import type { SampleVision } from '../data/sample-media.ts';
import { CxmindError } from '../errors.ts';
import { stackLevels, type Grid, type PatchLevels } from '../tensor/patch-levels.ts';
import type { ChatMessage, ChatTemplate, ContentPart } from '../text/chat-template.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { BitDepth } from '../vision/sample-depth.ts';
import type { ShownMessage } from './environment.ts';

/** Tokens that follow a turn, and the pictures among them. */
export interface Observation {
  /** `[T]`, one placeholder for each merged patch. */
  readonly tokenIds: Int32Array;
  /** Null without any. */
  readonly pictures: { readonly pixelValues: PatchLevels; readonly grids: readonly Grid[] } | null;
}

/** Parts by which messages become tokens. */
export interface ObservationTools {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
  /** Null for a model without vision. */
  readonly vision: SampleVision | null;
  /** Used bits of 16-bit samples; 16 if absent. */
  readonly bitDepth?: BitDepth | undefined;
}

/** The turn of the assistant in the conversation that is rendered. */
const MARK = '[[turn]]';

/**
 * The tokens from the end of a turn to where the next one begins.
 *
 * @param lastToken the last token of the turn, which may be the one that ends it already
 * @throws DATA_INVALID for a picture that cannot be read or a text that spells a placeholder out; CHECKPOINT_INVALID
 *   for a template that does not show the assistant's turn
 */
export async function observe(
  { tokenizer, chatTemplate, vision, bitDepth }: ObservationTools,
  messages: readonly ShownMessage[],
  lastToken: number,
): Promise<Observation> {
  const pictures = messages.flatMap(({ content }) =>
    typeof content === 'string'
      ? []
      : content.flatMap((part) => (part.type === 'image' ? [part.image] : [])),
  );
  if (pictures.length > 0 && vision === null) {
    throw invalid('the environment shows a picture, but this model takes none');
  }
  const read = await Promise.all(
    pictures.map((source) => {
      const { pixels, reader = pixels } = vision!;
      return reader.image(typeof source === 'string' ? resolve(source) : source, bitDepth);
    }),
  );
  const ids = tokenizer.encode(textBehindTurn(chatTemplate, messages.map(rendered)));
  if (ids[0] === lastToken) ids.shift();
  const { tokenCounts } = placesOf(vision, 'image', read);
  const places = { kind: 'image', tokenCounts } as const;
  const tokenIds = expandedIds(ids, vision, places, (kind, found, wanted) => {
    const media = kind === 'image' ? 'picture' : kind;
    return invalid(`the messages have ${found} ${kind} placeholder(s) for ${wanted} ${media}(s)`);
  });
  const grids = read.map(({ grid }) => grid);
  const pixelValues = stackLevels(read.map((one) => one.pixelValues));
  return { tokenIds, pictures: pixelValues && { pixelValues, grids } };
}

/** Text from the end of the assistant's turn to the beginning of its next one. */
function textBehindTurn(template: ChatTemplate, messages: readonly ChatMessage[]): string {
  const before: ChatMessage[] = [
    { role: 'user', content: 'user' },
    { role: 'assistant', content: MARK },
  ];
  const text = template.render([...before, ...messages]);
  const at = text.indexOf(MARK);
  if (at >= 0) return text.slice(at + MARK.length);
  throw new CxmindError(
    'CHECKPOINT_INVALID',
    'the chat template leaves out turns of the assistant',
  );
}

/** A message as templates take it. One without pictures is plain text, since not every template takes parts. */
function rendered({ role, content }: ShownMessage): ChatMessage {
  if (typeof content === 'string') return { role, content };
  if (content.every((part) => part.type === 'text')) {
    return { role, content: content.map(({ text }) => text).join('') };
  }
  const parts = content.map((part): ContentPart =>
    part.type === 'text' ? part : { type: 'image' },
  );
  return { role, content: parts };
}

function invalid(message: string): CxmindError {
  return new CxmindError('DATA_INVALID', message);
}

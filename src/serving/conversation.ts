/** Conversations of requests to prompts of the model: template, tokens, pictures, positions. */
import { BitDepthChoice } from '../data/bit-depth.ts';
import type { SampleVision } from '../data/sample-media.ts';
import type { SampleOptions } from '../data/sample.ts';
import { asCxmindError } from '../errors.ts';
import type { PromptInput } from '../model/pack.ts';
import { stackLevels } from '../tensor/patch-levels.ts';
import { tensorOf } from '../tensor/tensor.ts';
import type { ChatMessage, ChatTemplate, ContentPart } from '../text/chat-template.ts';
import { expandPlaceholders } from '../text/image-tokens.ts';
import type { ImageSource } from '../vision/decode.ts';
import type { ProcessedPixels } from '../vision/processor.ts';
import { pictureOf, type PictureAccess } from './picture.ts';
import type { ChatRequest, Message, Part } from './chat-request.ts';
import { isRefusal, refusal } from './refusal.ts';

/** Characters of text for each token of room. Longer text is refused before it is tokenised, which takes time. */
const CHARACTERS_PER_TOKEN = 32;

/** Tools that turn conversations into prompts. */
export interface ConversationOptions extends PictureAccess {
  readonly sample: Pick<SampleOptions, 'tokenizer' | 'chatTemplate' | 'vision' | 'positionsOf'>;
  /** Most tokens of a prompt. */
  readonly mostTokens: number;
}

/** A conversation before its pictures are read. */
interface Laid {
  readonly messages: readonly ChatMessage[];
  readonly pictures: readonly { readonly path: string; readonly source: ImageSource }[];
}

/**
 * The prompt of a conversation, the assistant's turn opened at its end.
 *
 * @throws DATA_INVALID, a refusal with status 400, for a picture that cannot be read, a conversation that the template
 *   refuses, and one that is too long, before a picture of it is decoded; the signal's reason
 */
export async function promptOf(
  { messages, chatTemplateKwargs }: Pick<ChatRequest, 'messages' | 'chatTemplateKwargs'>,
  options: ConversationOptions,
  signal: AbortSignal,
): Promise<PromptInput> {
  // A message has a token or more.
  const least = Math.max(messages.length, charactersOf(messages) / CHARACTERS_PER_TOKEN);
  refuseLong(least, options.mostTokens);
  const laid = await layOut(messages, options);
  const { tokenizer, positionsOf, vision } = options.sample;
  const template = options.sample.chatTemplate.with(chatTemplateKwargs ?? {});
  const text = rendered(template, laid.messages);
  refuseLong(text.length / CHARACTERS_PER_TOKEN, options.mostTokens);
  const ids = tokenizer.encode(text);
  const { imageTokenId, videoTokenId } = vision ?? {};
  const placeholders = ids.filter((id) => id === imageTokenId || id === videoTokenId).length;
  if (placeholders !== laid.pictures.length) {
    const found = `${placeholders} placeholder(s) for ${laid.pictures.length} picture(s)`;
    throw refusal(400, `the conversation has ${found}`, { param: 'messages' });
  }
  const counts = await countTokens(laid.pictures, ids.length, options, signal);
  const read = await readPictures(laid.pictures, options, signal);
  const grids = read.map(({ grid }) => grid);
  const tokenIds =
    imageTokenId === undefined
      ? Int32Array.from(ids)
      : expandPlaceholders(ids, imageTokenId, counts);
  return {
    tokenIds: tensorOf('i32', [tokenIds.length], tokenIds),
    positions: positionsOf(tokenIds, grids, null),
    pixelValues: stackLevels(read.map(({ pixelValues }) => pixelValues)),
    grids,
  };
}

function charactersOf(messages: readonly Message[]): number {
  let characters = messages.length;
  for (const { content } of messages) {
    if (typeof content === 'string') characters += content.length;
    else for (const part of content) characters += part.type === 'text' ? part.text.length : 1;
  }
  return characters;
}

function refuseLong(tokens: number, most: number): void {
  if (tokens <= most) return;
  const message = `the conversation has ${Math.ceil(tokens)} tokens or more, the model takes ${most}`;
  throw refusal(400, message, { param: 'messages', reason: 'context_length_exceeded' });
}

/** Messages as the template takes them, and their pictures in order. */
async function layOut(messages: readonly Message[], access: PictureAccess): Promise<Laid> {
  const pictures: Laid['pictures'][number][] = [];
  const laid: ChatMessage[] = [];
  for (const [i, { role, content }] of messages.entries()) {
    const parts: ContentPart[] = [];
    for (const [j, part] of (typeof content === 'string' ? [] : content).entries()) {
      const path = `messages[${i}].content[${j}]`;
      parts.push(contentPart(part));
      if (part.type !== 'image_url') continue;
      if (role !== 'user') throw refusal(400, `${path}: only a user has pictures`, { param: path });
      pictures.push({
        path,
        source: await pictureOf(part.imageUrl.url, `${path}.image_url.url`, access),
      });
    }
    // Templates know OpenAI's newer name of a system message by its old one.
    const named = role === 'developer' ? 'system' : role;
    laid.push({ role: named, content: typeof content === 'string' ? content : joined(parts) });
  }
  return { messages: laid, pictures };
}

function contentPart(part: Part): ContentPart {
  return part.type === 'text' ? { type: 'text', text: part.text } : { type: 'image' };
}

/** Parts without pictures as one text: templates of models without vision know no parts. */
function joined(parts: readonly ContentPart[]): ChatMessage['content'] {
  const texts = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  return texts.length === parts.length ? texts.join('\n') : parts;
}

function rendered(template: ChatTemplate, messages: readonly ChatMessage[]): string {
  try {
    // The template is the operator's choice, and a request has no more turns than it has tokens.
    return template.render(messages, { hasTimeLimit: false });
  } catch (error) {
    throw refusal(400, `messages: ${asCxmindError(error).message}`, { param: 'messages' });
  }
}

/**
 * Tokens of each picture, from headers alone: a small file may hold a picture that fills the memory.
 *
 * @param length tokens of the conversation, one for each picture
 */
async function countTokens(
  pictures: Laid['pictures'],
  length: number,
  options: ConversationOptions,
  signal: AbortSignal,
): Promise<number[]> {
  let total = length;
  refuseLong(total, options.mostTokens);
  return await eachPicture(pictures, options, signal, async ({ pixels }, { source }) => {
    const count = pixels.tokensOf(await pixels.imageGrid(source));
    total += count - 1;
    refuseLong(total, options.mostTokens);
    return count;
  });
}

/** Patches of each picture. The bit depth of 16-bit pictures is one for the conversation. */
async function readPictures(
  pictures: Laid['pictures'],
  options: ConversationOptions,
  signal: AbortSignal,
): Promise<ProcessedPixels[]> {
  const depth = new BitDepthChoice('auto', () => undefined);
  return await eachPicture(pictures, options, signal, ({ pixels }, { path, source }) =>
    depth.read(path, (bits) => pixels.image(source, bits)),
  );
}

/** Works on one picture after the other, as long as somebody waits for the answer. */
async function eachPicture<T>(
  pictures: Laid['pictures'],
  { sample: { vision } }: ConversationOptions,
  signal: AbortSignal,
  work: (vision: SampleVision, picture: Laid['pictures'][number]) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  for (const picture of pictures) {
    signal.throwIfAborted();
    const { path } = picture;
    if (vision === null)
      throw refusal(400, `${path}: this model takes no pictures`, { param: path });
    try {
      results.push(await work(vision, picture));
    } catch (error) {
      if (isRefusal(error)) throw error;
      throw refusal(400, `${path}: ${asCxmindError(error).message}`, { param: path });
    }
  }
  return results;
}

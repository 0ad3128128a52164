/** Conversations of requests to prompts of the model: template, tokens, pictures or videos, positions. */
import { BitDepthChoice } from '../data/bit-depth.ts';
import { expandedIds, placesOf, promptWith, type MediaPlaces } from '../data/media-prompt.ts';
import type { Media, MediaGrid, ReadMedia, SampleVision } from '../data/sample-media.ts';
import type { SampleOptions } from '../data/sample.ts';
import { asCxmindError } from '../errors.ts';
import type { PromptInput } from '../model/pack.ts';
import type { ChatMessage, ChatTemplate, ContentPart } from '../text/chat-template.ts';
import { writeFrameTimes } from '../text/frame-times.ts';
import type { ImageSource } from '../vision/decode.ts';
import { mediaOf, type MediaAccess } from './media.ts';
import type { ChatRequest, Message } from './chat-request.ts';
import { isRefusal, refusal } from './refusal.ts';

/** Characters of text for each token of room. Longer text is refused before it is tokenised, which takes time. */
const CHARACTERS_PER_TOKEN = 32;
/** Longest time for reading a video, in ms. */
const MEDIA_MS = 30_000;

/** Tools that turn conversations into prompts. */
export interface ConversationOptions extends MediaAccess {
  readonly sample: Pick<SampleOptions, 'tokenizer' | 'chatTemplate' | 'vision' | 'positionsOf'>;
  /** Most tokens of a prompt. */
  readonly mostTokens: number;
}

/** A picture or video of a conversation. */
interface MediaPart {
  readonly kind: Media['kind'];
  /** Field of the request, for errors. */
  readonly path: string;
  readonly source: ImageSource;
}

/** A conversation before its pictures or videos are read. */
interface Laid {
  readonly messages: readonly ChatMessage[];
  readonly media: readonly MediaPart[];
  /** Kind of all its pictures or videos. */
  readonly kind: Media['kind'];
}

/**
 * The prompt of a conversation, the assistant's turn opened at its end.
 *
 * @throws DATA_INVALID, a refusal with status 400, for a picture or video that cannot be read, a conversation that the
 *   template refuses, and one that is too long, before a picture of it is decoded; the signal's reason
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
  const { chatTemplate, tokenizer, positionsOf, vision } = options.sample;
  const headers = await readHeaders(laid, least, options, signal);
  const { kind } = laid;
  const places = placesOf(vision, kind, headers);
  const text = rendered(chatTemplate.with(chatTemplateKwargs ?? {}), laid.messages, places);
  refuseLong(text.length / CHARACTERS_PER_TOKEN, options.mostTokens);
  const tokenIds = expandedIds(tokenizer.encode(text), vision, { kind, ...places }, () => {
    const reason = 'it spells out placeholders of pictures or videos';
    return refusal(400, `the conversation: ${reason}`, { param: 'messages' });
  });
  refuseLong(tokenIds.length, options.mostTokens);
  const read = await readMedia(laid, options, signal);
  return promptWith(tokenIds, kind, read, positionsOf);
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

/** Messages as the template takes them, and their pictures or videos in order. */
async function layOut(messages: readonly Message[], access: MediaAccess): Promise<Laid> {
  const media: MediaPart[] = [];
  const laid: ChatMessage[] = [];
  for (const [i, { role, content }] of messages.entries()) {
    const parts: ContentPart[] = [];
    for (const [j, part] of (typeof content === 'string' ? [] : content).entries()) {
      const path = `messages[${i}].content[${j}]`;
      if (part.type === 'text') {
        parts.push(part);
        continue;
      }
      if (role !== 'user') throw refusal(400, `${path}: only a user has pictures`, { param: path });
      const [kind, url] =
        part.type === 'image_url'
          ? (['image', part.imageUrl.url] as const)
          : (['video', part.videoUrl.url] as const);
      if (kind !== (media[0]?.kind ?? kind)) {
        const reason = 'a conversation has pictures or videos, not both';
        throw refusal(400, `${path}: ${reason}`, { param: path });
      }
      parts.push({ type: kind });
      media.push({
        kind,
        path,
        source: await mediaOf(kind, url, `${path}.${part.type}.url`, access),
      });
    }
    // Templates know OpenAI's newer name of a system message by its old one.
    const named = role === 'developer' ? 'system' : role;
    laid.push({ role: named, content: typeof content === 'string' ? content : joined(parts) });
  }
  return { messages: laid, media, kind: media[0]?.kind ?? 'image' };
}

/** Parts without pictures as one text: templates of models without vision know no parts. */
function joined(parts: readonly ContentPart[]): ChatMessage['content'] {
  const texts = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  return texts.length === parts.length ? texts.join('\n') : parts;
}

function rendered(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  { frameTimes }: MediaPlaces,
): string {
  try {
    // The template is the operator's choice, and a request has no more turns than it has tokens.
    const text = template.render(messages, { hasTimeLimit: false });
    return frameTimes === null ? text : writeFrameTimes(text, frameTimes);
  } catch (error) {
    throw refusal(400, `messages: ${asCxmindError(error).message}`, { param: 'messages' });
  }
}

/**
 * Grids from headers alone: a small file may hold a picture that fills the memory, and a video of many frames.
 *
 * @param least tokens of the conversation without them
 */
async function readHeaders(
  { media }: Laid,
  least: number,
  options: ConversationOptions,
  signal: AbortSignal,
): Promise<MediaGrid[]> {
  let total = least;
  return await eachOf(media, options, signal, async ({ pixels }, { kind, source }, limit) => {
    const header: MediaGrid =
      kind === 'image'
        ? { grid: await pixels.imageGrid(source) }
        : await pixels.videoGrid(source, limit);
    total += pixels.tokensOf(header.grid);
    refuseLong(total, options.mostTokens);
    return header;
  });
}

/** Patches of each picture or video. The bit depth of 16-bit pictures is one for the conversation. */
async function readMedia(
  { media }: Laid,
  options: ConversationOptions,
  signal: AbortSignal,
): Promise<ReadMedia[]> {
  const depth = new BitDepthChoice('auto', () => undefined);
  return await eachOf(media, options, signal, ({ pixels }, { kind, path, source }, limit) =>
    depth.read(path, (bits): Promise<ReadMedia> =>
      kind === 'image' ? pixels.image(source, bits) : pixels.video(source, bits, limit),
    ),
  );
}

/** Works on items one after the other, each for a bounded time, until the client leaves. */
async function eachOf<T>(
  media: readonly MediaPart[],
  { sample: { vision } }: ConversationOptions,
  signal: AbortSignal,
  work: (vision: SampleVision, part: MediaPart, limit: AbortSignal) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  for (const part of media) {
    signal.throwIfAborted();
    const { path, kind } = part;
    if (vision === null) {
      throw refusal(400, `${path}: this model takes no ${kind}s`, { param: path });
    }
    const timeout = AbortSignal.timeout(MEDIA_MS);
    try {
      results.push(await work(vision, part, AbortSignal.any([signal, timeout])));
    } catch (error) {
      if (isRefusal(error)) throw error;
      const { message } = asCxmindError(error);
      const reason = timeout.aborted ? `not read within ${MEDIA_MS / 1000} s` : message;
      throw refusal(400, `${path}: ${reason}`, { param: path });
    }
  }
  return results;
}

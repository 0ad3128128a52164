/**
 * Body of `POST /v1/chat/completions`, as OpenAI's API reference has it, with some fields of vLLM beside.
 *
 * A field that this server does not know is refused by name: an answer that ignores what it was asked for is worse
 * than none. Fields that only describe the caller are read and not used.
 *
 * @see https://platform.openai.com/docs/api-reference/chat/create
 */
import * as t from 'io-ts';
import { closed, orNull } from '../check/codec.ts';
import { parsedJson } from '../check/json.ts';
import { decodeOrThrow, formatIssue } from '../check/issues.ts';
import { guarded, wholeFrom } from '../check/scalars.ts';
import { templateVariables } from '../check/template-variables.ts';
import { MOST_TOP_LOGPROBS } from '../generation/logit-control.ts';
import { refusal } from './refusal.ts';

/** Most responses to one request, as OpenAI allows. */
const MOST_CHOICES = 128;
/** Most biases and bad words. Each costs time at every token. */
const MOST_BIASES = 1024;
const MOST_BAD_WORDS = 256;
/** Most stop strings, as OpenAI allows. */
const MOST_STOPS = 4;

function numberThat(name: string, holds: (value: number) => boolean): t.Type<number> {
  return guarded(name, (value): value is number => typeof value === 'number' && holds(value));
}

function numberFrom(low: number, high: number): t.Type<number> {
  return numberThat(`a number from ${low} to ${high}`, (value) => value >= low && value <= high);
}

const share = numberThat('a number above 0, up to 1', (value) => value > 0 && value <= 1);
const topK = numberThat(
  'a whole number above 0, or -1',
  (value) => Number.isSafeInteger(value) && (value > 0 || value === -1),
);
const seed = numberThat('an integer', Number.isSafeInteger);
const stops = guarded(
  `a text, or a list of up to ${MOST_STOPS} texts`,
  (value): value is string | readonly string[] =>
    typeof value === 'string' ||
    (Array.isArray(value) &&
      value.length <= MOST_STOPS &&
      value.every((each) => typeof each === 'string')),
);

/** Biases by token id, of -100 to 100, as OpenAI allows. */
const logitBias = guarded(
  `up to ${MOST_BIASES} numbers from -100 to 100 by token id`,
  (value): value is Readonly<Record<string, number>> =>
    t.record(t.string, numberFrom(-100, 100)).is(value) &&
    Object.keys(value).length <= MOST_BIASES &&
    Object.keys(value).every((token) => /^\d{1,7}$/.test(token)),
);
const badWords = guarded(
  `a list of up to ${MOST_BAD_WORDS} texts that are not empty`,
  (value): value is readonly string[] =>
    Array.isArray(value) &&
    value.length <= MOST_BAD_WORDS &&
    value.every((each) => typeof each === 'string' && each !== ''),
);

const TextPart = closed({ type: t.literal('text'), text: t.string });
const ImagePart = closed({
  type: t.literal('image_url'),
  imageUrl: closed({ url: t.string, detail: orNull(t.string) }),
});
/** Video of a message, as vLLM has it. */
const VideoPart = closed({ type: t.literal('video_url'), videoUrl: closed({ url: t.string }) });
/** Part of a message. */
const Part = t.union(
  [TextPart, ImagePart, VideoPart],
  'a part of type text, image_url or video_url',
);

const roles = t.keyof({ system: null, developer: null, user: null, assistant: null });
const Message = closed({
  role: roles,
  content: t.union([t.string, t.array(Part)], 'a text, or a list of parts'),
  name: orNull(t.string),
});
/** Message of a conversation. */
export type Message = t.TypeOf<typeof Message>;

const TextFormat = closed({ type: t.literal('text') });
const JsonSchemaFormat = closed({
  type: t.literal('json_schema'),
  jsonSchema: closed({
    name: t.string,
    schema: t.UnknownRecord,
    description: orNull(t.string),
    strict: orNull(t.boolean),
  }),
});
const ResponseFormat = t.union(
  [TextFormat, JsonSchemaFormat],
  'a format of type text or json_schema',
);

const ChatRequest = closed({
  model: t.string,
  messages: t.array(Message),
  n: orNull(wholeFrom(1, MOST_CHOICES)),
  stop: orNull(stops),
  seed: orNull(seed),
  maxTokens: orNull(wholeFrom(1)),
  maxCompletionTokens: orNull(wholeFrom(1)),
  temperature: orNull(numberFrom(0, 2)),
  topP: orNull(share),
  presencePenalty: orNull(numberFrom(-2, 2)),
  frequencyPenalty: orNull(numberFrom(-2, 2)),
  logitBias: orNull(logitBias),
  responseFormat: orNull(ResponseFormat),
  logprobs: orNull(t.boolean),
  topLogprobs: orNull(wholeFrom(0, MOST_TOP_LOGPROBS)),
  // vLLM's.
  bestOf: orNull(wholeFrom(1, MOST_CHOICES)),
  minP: orNull(numberFrom(0, 1)),
  topK: orNull(topK),
  repetitionPenalty: orNull(numberFrom(0.01, 10)),
  badWords: orNull(badWords),
  structuredOutputs: orNull(closed({ regex: t.string })),
  chatTemplateKwargs: orNull(templateVariables),
  stream: orNull(t.boolean),
  streamOptions: orNull(
    closed({ includeUsage: orNull(t.boolean), includeObfuscation: orNull(t.boolean) }),
  ),
  // Words about the caller.
  user: orNull(t.string),
  metadata: orNull(t.UnknownRecord),
  store: orNull(t.boolean),
  serviceTier: orNull(t.string),
  safetyIdentifier: orNull(t.string),
  promptCacheKey: orNull(t.string),
});
/** Checked body of a request for a chat completion. */
export type ChatRequest = t.TypeOf<typeof ChatRequest>;

/**
 * A request from the text of its body.
 *
 * @throws DATA_INVALID, a refusal with status 400 that names the first field at fault
 */
export function readChatRequest(text: string): ChatRequest {
  const json = parsedJson(text);
  if (json === undefined) throw refusal(400, 'the body is not JSON');
  const request = decodeOrThrow(ChatRequest, json, (issues) =>
    refusal(400, issues.map(formatIssue).join('; '), { param: issues[0]?.path ?? null }),
  );
  if (request.messages.length === 0) {
    throw refusal(400, 'messages: expected at least one', { param: 'messages' });
  }
  if (request.streamOptions !== null && request.stream !== true) {
    const message = 'stream_options: only with stream true';
    throw refusal(400, message, { param: 'stream_options' });
  }
  if (request.bestOf !== null && (request.bestOf < (request.n ?? 1) || request.stream === true)) {
    throw refusal(400, 'best_of: expected n or more, and no stream', { param: 'best_of' });
  }
  if ((request.topLogprobs ?? 0) > 0 && request.logprobs !== true) {
    throw refusal(400, 'top_logprobs: only with logprobs true', { param: 'top_logprobs' });
  }
  return request;
}
